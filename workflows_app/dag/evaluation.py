"""What an expression does while it runs: reading names, keys and items, and knowing when something is not there."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol, cast

from workflows_app.dag.operations import Absent, Budget, ExpressionError, kind_of, shortened

# So many of an object's keys are named where one is missing.
KEYS_NAMED = 8


class Scope(Protocol):
    """The names that an expression sees. A value may be a lazy `Mapping`, read key by key."""

    @property
    def now(self) -> datetime: ...

    def lookup(self, name: str) -> object:
        """Raises `KeyError` for a name that is not there."""
        ...


class Frame:
    """One evaluation: its scope, what it has read of it, its budget, and the comprehension's names."""

    __slots__ = ("budget", "names", "read", "scope")

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.budget = Budget()
        self.read: dict[str, object] = {}
        self.names: dict[str, object] = {}


type Code = Callable[[Frame], object]


def read_name(name: str) -> Code:
    """A name of the scope, looked up once in an evaluation."""

    def read(frame: Frame) -> object:
        frame.budget.spend(1)
        found = frame.read
        if name not in found:
            try:
                found[name] = frame.scope.lookup(name)
            except KeyError:
                raise Absent(f"The name '{name}' is not there.") from None
        return found[name]

    return read


def item_of(container: object, key: object, path: str) -> object:
    """`container[key]`: an object's key or a list's item. `path` is the container's source, for messages."""
    if isinstance(container, Mapping):
        if not isinstance(key, str):
            raise ExpressionError(f"{path} is an object: its keys are text, not {kind_of(key)}.")
        try:
            return container[key]
        except KeyError:
            raise Absent(f"{path}.{shortened(key)} is not there; {_keys_of(container)}.") from None
    if isinstance(container, list):
        if type(key) is not int:
            raise ExpressionError(f"{path} is a list: its index is a whole number, not {kind_of(key)}.")
        try:
            return cast("list[object]", container)[key]
        except IndexError:
            count = len(cast("list[object]", container))
            raise Absent(f"{path}[{key}] is not there: the list has {count} items.") from None
    spelled = f"{path}.{shortened(key)}" if isinstance(key, str) else f"{path}[{key}]"
    if container is None:
        raise Absent(f"{spelled} is not there: {path} is null.")
    raise ExpressionError(f"{spelled} is not there: {path} is {kind_of(container)}.")


def _keys_of(container: Mapping[str, object]) -> str:
    keys = list(container)
    if not keys:
        return "the object is empty"
    named = ", ".join(shortened(key) for key in keys[:KEYS_NAMED])
    return f"there are {named}{', ...' if len(keys) > KEYS_NAMED else ''}"


def key_of(value: object) -> str:
    if not isinstance(value, str):
        raise ExpressionError(f"An object's key is text, not {kind_of(value)}.")
    return value


def or_null(code: Code, frame: Frame) -> object:
    """The value, or None where something on the way to it is not there."""
    try:
        return code(frame)
    except Absent:
        return None


def iterate(value: object, path: str) -> Iterable[object]:
    """The items of a list, or the keys of an object."""
    if isinstance(value, (list, Mapping)):
        return cast("Iterable[object]", value)
    raise ExpressionError(f"{path} is {kind_of(value)}: a comprehension goes through a list or an object.")


def bind(names: Sequence[str], value: object) -> Mapping[str, object]:
    """A comprehension's names for one item."""
    if len(names) == 1:
        return {names[0]: value}
    if not isinstance(value, list) or len(cast("list[object]", value)) != len(names):
        raise ExpressionError(f"{', '.join(names)} need a list of {len(names)} items, not {kind_of(value)}.")
    return dict(zip(names, cast("list[object]", value), strict=True))
