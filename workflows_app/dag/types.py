"""The vocabulary of the workflow document: ids, enumerations and the shape of JSON values.

Everything that a definition can say is one of these words. The same enumerations are read by
the validator, the engine, the models and the API, so that no list of words exists twice.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import NewType, cast

type JsonValue = None | bool | int | Decimal | str | list[JsonValue] | dict[str, JsonValue]
type JsonObject = dict[str, JsonValue]

# Of runs; the lowest is the same below zero.
MAX_PRIORITY = 100
# The queue of workflows that name none.
DEFAULT_QUEUE = "default"

NodeKey = NewType("NodeKey", str)


class NodeType(StrEnum):
    # Starts an execution; its output is the execution's input.
    TRIGGER = "trigger"
    # Calls a registered function.
    TOOL = "tool"
    # Calls a language model, with tools.
    AGENT = "agent"
    # Chooses which of its outgoing edges are taken.
    CONDITION = "condition"
    # Reshapes data by a template of expressions.
    ADAPTER = "adapter"
    # Reduces the outputs of its predecessors to one value.
    AGGREGATOR = "aggregator"


class Join(StrEnum):
    # No incoming edge is broken and at least one is taken.
    NONE_FAILED_MIN_ONE_SUCCESS = "none_failed_min_one_success"
    # Every incoming edge is taken.
    ALL_SUCCESS = "all_success"
    # At least one incoming edge is taken.
    ONE_SUCCESS = "one_success"
    # Runs once all predecessors are terminal, whatever became of them.
    ALL_DONE = "all_done"


class OnError(StrEnum):
    # The failure breaks the outgoing edges.
    FAIL = "fail"
    # The node is failed, but counts as completed with output null.
    CONTINUE = "continue"


class OnFailure(StrEnum):
    # Independent branches go on after a failure.
    CONTINUE = "continue"
    # Nothing new starts after a failure.
    STOP = "stop"


class Scheduling(StrEnum):
    # A level starts when the one before it is terminal.
    LEVELS = "levels"
    # A node starts when its own predecessors are terminal.
    EAGER = "eager"


class Overflow(StrEnum):
    # A run beyond the limit waits for its turn.
    QUEUE = "queue"
    # It is refused.
    SKIP = "skip"
    # It is accepted, and the oldest of its key is cancelled.
    CANCEL_OLDEST = "cancel_oldest"


class Match(StrEnum):
    # The first true edge by priority is taken.
    FIRST = "first"
    # Every true edge is taken.
    ALL = "all"


class Strategy(StrEnum):
    MERGE = "merge"
    LIST = "list"
    FIRST = "first"
    SUM = "sum"
    COUNT = "count"
    AVG = "avg"
    MIN = "min"
    MAX = "max"


class Handle(StrEnum):
    # Leaves a node that completed.
    OUT = "out"
    # Leaves a node that failed, and handles the failure.
    ERROR = "error"


class Effect(StrEnum):
    # Changes nothing outside: may be repeated freely.
    NONE = "none"
    # The receiver recognises a repetition by the idempotency key.
    IDEMPOTENT = "idempotent"
    # Must not be repeated when its outcome is unknown.
    AT_MOST_ONCE = "at_most_once"
    # When its outcome is unknown the tool can ask what became of it; otherwise as at_most_once.
    CHECKABLE = "checkable"

    @property
    def is_repeatable(self) -> bool:
        """Whether an attempt whose outcome is unknown may simply be made again."""
        return self in (Effect.NONE, Effect.IDEMPOTENT)


class Jitter(StrEnum):
    # The wait is exactly the computed delay.
    NONE = "none"
    # Uniform between zero and the delay.
    FULL = "full"
    # Uniform between half the delay and the delay.
    EQUAL = "equal"


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectRule:
    """An effect that follows from how a node states one input of its tool.

    It holds where the document has one of `values`, in capitals, as the input `name`, in whatever case, or leaves
    that input out and `when_absent`. An expression is not known before it is rendered: for it the rule never holds.
    """

    name: str
    values: frozenset[str]
    effect: Effect
    when_absent: bool = False

    def effect_of(self, inputs: object, *, otherwise: Effect) -> Effect:
        """The effect of a node with these `inputs` in its document."""
        return self.effect if self._holds(inputs) else otherwise

    def _holds(self, inputs: object) -> bool:
        if not isinstance(inputs, dict):
            return False
        stated = cast("dict[str, object]", inputs)
        if self.name not in stated:
            return self.when_absent
        word = stated[self.name]
        return isinstance(word, str) and word.upper() in self.values


@dataclass(frozen=True, slots=True, kw_only=True)
class HasEffect:
    """What a tool says of its effect, and what follows from it for a node.

    `effects` are the effects that a node may state instead of `effect`; empty where the tool decides alone.
    """

    effect: Effect
    effects: frozenset[Effect] = frozenset()
    effect_rule: EffectRule | None = None

    @property
    def possible_effects(self) -> frozenset[Effect]:
        """The effects that nodes which call it can have."""
        by_rule = frozenset[Effect]() if self.effect_rule is None else frozenset({self.effect_rule.effect})
        return self.effects | by_rule | {self.effect}

    def effect_of(self, inputs: object) -> Effect:
        """The effect of a node with these `inputs` in its document that states none."""
        rule = self.effect_rule
        return self.effect if rule is None else rule.effect_of(inputs, otherwise=self.effect)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolInfo(HasEffect):
    """What a definition needs to know of a tool: the registry's entry without its code.

    `input_schema` and `output_schema` are JSON Schema 2020-12 objects (`{}`: anything goes).
    """

    name: str
    input_schema: JsonObject
    output_schema: JsonObject
    active: bool = True
    # Of a tool that was made on the site: the registered one that it was made of, where that is no more.
    missing_kind: str = ""
