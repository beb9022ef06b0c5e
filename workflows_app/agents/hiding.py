"""The calls of an agent without the key that pays for them, whatever a provider sends back: the engine knows none that
is in the environment."""

from collections.abc import Sequence

from workflows_app.agents.calls import Begun, Calls, Closing, Opening, Quote
from workflows_app.dag.types import JsonValue
from workflows_app.tools.masking import Mask
from workflows_app.tools.stream_masking import MaskedStream


class HidingCalls:
    """Calls that go on record masked. Text that comes in pieces is held back while it may be the beginning of a key."""

    def __init__(self, calls: Calls, key: str) -> None:
        self._calls = calls
        self._mask: Mask = Mask.of([key])
        self._written: dict[int, MaskedStream] = {}

    async def turn(self, tools: Sequence[str]) -> None:
        await self._calls.turn(tools)

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
        if (written := self._written.pop(number, None)) and (rest := written.end()):
            self._calls.write(number, rest)
        error: JsonValue = self._mask.value(closing.error)
        shown = Closing(
            outcome=closing.outcome,
            result=self._mask.value(closing.result),
            error=error if isinstance(error, dict) else None,
            spent=closing.spent,
        )
        self._calls.end(number, shown)

    def write(self, number: int, text: str) -> None:
        if shown := self._written.setdefault(number, MaskedStream(self._mask)).take(text):
            self._calls.write(number, shown)
