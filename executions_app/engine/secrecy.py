"""A node's secrets for the time of one attempt: their values, and the mask that hides them in what leaves it."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Self

from executions_app.engine.ports import Ports
from workflows_app.dag.expressions import ExpressionError
from workflows_app.dag.plan import NodePlan
from workflows_app.dag.rendering import Scope
from workflows_app.dag.types import JsonValue
from workflows_app.processors.base import NodeCall, Prepared, Processor
from workflows_app.processors.errors import NodeConfigurationError
from workflows_app.tools.log_masking import in_use
from workflows_app.tools.masking import HIDDEN, Mask

# Shorter texts that an expression makes of a secret are everywhere in other data; they are hidden in the input only.
SHORTEST_DERIVED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """`values` by name, and the mask that hides them; no mask where there are none."""

    values: Mapping[str, str] = field(default_factory=dict[str, str])
    mask: Mask | None = None

    @classmethod
    def of(cls, values: Mapping[str, str], derived: Iterable[str] = ()) -> Self:
        """`derived` are texts that were made of the values, and are hidden like them."""
        return cls(values=values, mask=Mask.of([*values.values(), *derived]))

    def text(self, text: str) -> str:
        return text if self.mask is None else self.mask.text(text)

    def value(self, value: JsonValue) -> JsonValue:
        return value if self.mask is None else self.mask.value(value)

    def in_use(self) -> AbstractContextManager[object]:
        """While code is at work that knows the values, and for a while after, no log line of this process has them."""
        return nullcontext() if self.mask is None else in_use(self.mask)


NO_SECRETS = Secrets()


async def resolved(node: NodePlan, ports: Ports, *, deadline: float) -> Secrets:
    """The secrets that a node names. Raises what the port raises, `TimeoutError` where it takes too long."""
    if ports.secrets is None:
        names = ", ".join(node.secrets)
        raise NodeConfigurationError(f"Node '{node.key}' needs secrets ({names}), and nothing here keeps any.")
    async with asyncio.timeout_at(deadline):
        values = await ports.secrets(node.secrets)
    return Secrets.of(values)


def shown(processor: Processor, call: NodeCall, prepared: Prepared, secrets: Secrets) -> tuple[Secrets, JsonValue]:
    """The input as it goes on record, and the secrets with what expressions made of them.

    The input is rendered a second time, over secrets that are all `***`: what an expression computes from a secret is
    computed from that. A text that comes out otherwise than the masked one is a secret as a whole.
    """
    blind = replace(call, scope=_Blindfolded(call.scope, secrets.values))
    try:
        harmless = processor.pre_process(blind).input
    except ExpressionError:
        # Such as `int(secrets.pin)`: then whatever text is in the input is hidden.
        harmless = _hidden(prepared.input)
    # What the document says itself is no secret.
    written = {text for text, _ in _texts(call.node.inputs, None)}
    derived = {
        text
        for text, other in _texts(prepared.input, harmless)
        if len(text) >= SHORTEST_DERIVED and secrets.text(text) != other and text not in written
    }
    if derived:
        secrets = Secrets.of(secrets.values, derived)
    return secrets, secrets.value(harmless)


class _Blindfolded:
    """A scope whose secrets are all hidden."""

    __slots__ = ("_scope", "_secrets", "now")

    def __init__(self, scope: Scope, secrets: Mapping[str, str]) -> None:
        self._scope = scope
        self._secrets = dict.fromkeys(secrets, HIDDEN)
        self.now = scope.now

    def lookup(self, name: str) -> object:
        return self._secrets if name == "secrets" else self._scope.lookup(name)


def _texts(value: JsonValue, other: JsonValue) -> Iterator[tuple[str, JsonValue]]:
    """Every text in a value beside what stands at its place in the other one."""
    match value:
        case str():
            yield value, other
        case dict():
            for key, item in value.items():
                yield from _texts(item, other.get(key) if isinstance(other, dict) else None)
        case list():
            for position, item in enumerate(value):
                beside = other[position] if isinstance(other, list) and position < len(other) else None
                yield from _texts(item, beside)
        case _:
            pass


def _hidden(value: JsonValue) -> JsonValue:
    match value:
        case dict():
            return {key: _hidden(item) for key, item in value.items()}
        case list():
            return [_hidden(item) for item in value]
        case None | bool():
            return value
        case _:
            return HIDDEN
