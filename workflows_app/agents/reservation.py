"""What one request to a model may take at most, and what it took: reserved before it is made, settled after it."""

from dataclasses import dataclass

from workflows_app.agents.calls import Caps, Spent
from workflows_app.agents.limits import AgentLimits
from workflows_app.agents.prices import Price
from workflows_app.agents.questions import Answer
from workflows_app.dag.wording import quoted
from workflows_app.tools.errors import NodeConfigurationError

# The longest answer where tokens or money are bounded and nothing else says how long it may be.
OUTPUT_TOKENS = 4096
# Shorter ones are not worth a request.
SHORTEST_ANSWER = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Whom requests are for, what they may use and what they cost."""

    provider: str
    model: str
    limits: AgentLimits
    # None where the price table has none.
    price: Price | None

    @property
    def most_output(self) -> int:
        """Tokens of the longest answer, where tokens or money are bounded."""
        return self.limits.max_output_tokens or OUTPUT_TOKENS

    def check(self) -> None:
        """Raises `NodeConfigurationError` where money is bounded and no price is known."""
        if self.limits.max_cost is not None:
            _ = self._priced()

    def _priced(self) -> Price:
        if self.price is None:
            raise NodeConfigurationError(
                f"What it costs is bounded, and no price of the model {quoted(self.model)} of "
                + f"{quoted(self.provider)} is known: add it to AGENT_PRICES."
            )
        return self.price

    def quote(self, left: Caps, *, size: int, least: int = SHORTEST_ANSWER) -> Spent | None:
        """What a request is to reserve that sends `size` tokens at most; None where no answer of `least` tokens fits.

        No output is reserved where nothing bounds the answer. Raises `NodeConfigurationError`.
        """
        if left.max_requests is not None and left.max_requests < 1:
            return None
        longest = self.limits.max_output_tokens
        bounds = [] if longest is None else [longest]
        if left.max_tokens is not None:
            bounds.append(left.max_tokens - size)
        if left.max_cost is not None:
            affordable = self._priced().longest_answer(left.max_cost, size)
            bounds += [] if affordable is None else [affordable]
        if longest is None and (left.max_tokens is not None or left.max_cost is not None):
            bounds.append(OUTPUT_TOKENS)
        output = min(bounds, default=0)
        if bounds and output < (least if longest is None else min(least, longest)):
            return None
        return Spent(requests=1, input_tokens=size, output_tokens=output, cost=self._cost(size, output))

    def used_by(self, answer: Answer, reserved: Spent) -> Spent:
        """What an answer took: as its provider says, else all that was reserved."""
        if answer.tokens is not None:
            took, gave = answer.tokens
        else:
            # No token is shorter than a byte.
            took, gave = reserved.input_tokens, reserved.output_tokens or answer.size
        return Spent(requests=1, input_tokens=took, output_tokens=gave, cost=self._cost(took, gave))

    def _cost(self, input_tokens: int, output_tokens: int) -> int | None:
        return None if self.price is None else self.price.cost(input_tokens, output_tokens)
