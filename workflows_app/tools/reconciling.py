"""Asking the outside what became of an attempt whose outcome nobody heard.

A tool with effect `checkable` names a function for it. Brokers and payment services can look an order up by the id that
their client gave it: that is `idempotency_key`, or `attempt_id` where every try is told apart.
"""

from collections.abc import Callable
from dataclasses import dataclass

from workflows_app.dag.types import JsonObject, NodeKey


@dataclass(frozen=True, slots=True, kw_only=True)
class InterruptedAttempt:
    """The attempt that is asked about. `inputs` are what the tool was called with."""

    execution_id: str
    node: NodeKey
    attempt_id: str
    idempotency_key: str
    number: int
    inputs: JsonObject


@dataclass(frozen=True, slots=True)
class Done:
    """It had its effect; `output` is what the tool would have returned."""

    output: object


@dataclass(frozen=True, slots=True)
class NotDone:
    """It had none and will have none: the work may be tried again."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can tell. `why` is shown to whoever has to find out."""

    why: str = ""


type Verdict = Done | NotDone | Unknown
# Synchronous, or a coroutine function.
type Reconcile = Callable[[InterruptedAttempt], object]
