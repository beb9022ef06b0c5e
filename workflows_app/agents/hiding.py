"""The calls of an agent without the key that pays for them, whatever a provider sends back: the engine knows none that
is in the environment."""

from workflows_app.agents.calls import Begun, Calls, Closing, Opening, Quote
from workflows_app.dag.types import JsonValue
from workflows_app.tools.masking import Mask

# Bytes of the longest spelling of a character; a letter or a digit has short ones.
_LONGEST_SPELLING = 32
_LONGEST_PLAIN = 3


class HidingCalls:
    """Calls that go on record masked. Text that comes in pieces is held back while it may be the beginning of a key."""

    def __init__(self, calls: Calls, key: str) -> None:
        self._calls = calls
        self._mask: Mask = Mask.of([key])
        self._longest: int = sum(
            _LONGEST_PLAIN if letter.isalnum() and letter.isascii() else _LONGEST_SPELLING for letter in key
        )
        self._held: dict[int, str] = {}

    async def begin(self, opening: Opening, quote: Quote | None = None) -> Begun:
        shown = Opening(
            kind=opening.kind,
            name=self._mask.text(opening.name),
            effect=opening.effect,
            arguments=self._mask.value(opening.arguments),
            provider=opening.provider,
        )
        return await self._calls.begin(shown, quote)

    def end(self, number: int, closing: Closing) -> None:
        if held := self._held.pop(number, ""):
            self._calls.write(number, self._mask.text(held))
        error: JsonValue = self._mask.value(closing.error)
        shown = Closing(
            outcome=closing.outcome,
            result=self._mask.value(closing.result),
            error=error if isinstance(error, dict) else None,
            spent=closing.spent,
        )
        self._calls.end(number, shown)

    def write(self, number: int, text: str) -> None:
        held, shown = self._held.get(number, "") + text, ""
        while (end := self._end_of_key(held)) is not None:
            shown += self._mask.text(held[:end])
            held = held[end:]
        split = max(len(held) - self._longest, 0)
        shown += held[:split]
        self._held[number] = held[split:]
        if shown:
            self._calls.write(number, shown)

    def _end_of_key(self, text: str) -> int | None:
        """Where the first key in a text ends, None where there is none."""
        if self._mask.text(text) == text:
            return None
        low, high = 0, len(text)
        while high - low > 1:
            middle = (low + high) // 2
            if self._mask.text(text[:middle]) == text[:middle]:
                low = middle
            else:
                high = middle
        return high
