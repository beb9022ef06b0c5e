"""What an expression does while it runs: reading names, keys and items, and knowing when something is not there."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Protocol, cast, override

from workflows_app.dag.operations import Absent, Budget, ExpressionError, kind_of, quoted, shortened, shown

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
        self.names: Mapping[str, object] = {}


type Code = Callable[[Frame], object]


class Remembered(Mapping[str, object]):
    """A lazy mapping of the scope that is asked for each key once: reading may mean decoding much text."""

    __slots__ = ("_lazy", "_read")

    def __init__(self, lazy: Mapping[str, object]) -> None:
        self._lazy = lazy
        self._read: dict[str, object] = {}

    @override
    def __getitem__(self, key: str) -> object:
        if key not in self._read:
            self._read[key] = remembered(self._lazy[key])
        return self._read[key]

    @override
    def __contains__(self, key: object) -> bool:
        return key in self._read or key in self._lazy

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._lazy)

    @override
    def __len__(self) -> int:
        return len(self._lazy)

    def __bool__(self) -> bool:
        return next(iter(self._lazy), None) is not None


def remembered(value: object) -> object:
    """The value; a lazy mapping as one that is read once."""
    if not isinstance(value, Mapping) or isinstance(value, (dict, Remembered)):
        return cast("object", value)
    return Remembered(cast("Mapping[str, object]", value))


def read_name(name: str) -> Code:
    """A name of the scope, looked up once in an evaluation."""

    def read(frame: Frame) -> object:
        frame.budget.spend(1)
        found = frame.read
        if name not in found:
            try:
                found[name] = remembered(frame.scope.lookup(name))
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
            return cast("Mapping[str, object]", container)[key]
        except KeyError:
            known = _keys_of(cast("Mapping[str, object]", container))
            raise Absent(f"{_spelled(path, key)} is not there; {known}.") from None
    if isinstance(container, list):
        if type(key) is not int:
            raise ExpressionError(f"{path} is a list: its index is a whole number, not {kind_of(key)}.")
        try:
            return cast("list[object]", container)[key]
        except IndexError:
            count = len(cast("list[object]", container))
            raise Absent(f"{path}[{key}] is not there: the list has {count} items.") from None
    spelled = _spelled(path, key)
    if container is None:
        raise Absent(f"{spelled} is not there: {path} is null.")
    raise ExpressionError(f"{spelled} is not there: {path} is {kind_of(container)}.")


def _spelled(path: str, key: object) -> str:
    """The path of an item: `nodes.rsi`, `rows["a key"]`, `rows[3]`."""
    if not isinstance(key, str):
        return f"{path}[{shown(key) if isinstance(key, bool) else key}]"
    return f"{path}.{key}" if key.isidentifier() and len(key) <= 60 else f"{path}[{quoted(key)}]"


def _keys_of(container: Mapping[str, object]) -> str:
    keys = list(islice(container, KEYS_NAMED + 1))
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


# The items of a comprehension, one by one.
type Generate = Callable[[Frame], Iterator[object]]


def generator(names: Sequence[str], source: tuple[Code, str], conditions: Sequence[Code], item: Code) -> Generate:
    """A comprehension. `source` is what it goes through, and its text for messages. Every round costs a step."""
    container, text = source

    def generate(frame: Frame) -> Iterator[object]:
        # An expression spends most of its time in here: hence no function for what can stand in a line.
        spend = frame.budget.spend
        name = names[0] if len(names) == 1 else None
        for found in iterate(container(frame), text):
            spend(1)
            frame.names = bind(names, found) if name is None else {name: found}
            for condition in conditions:
                if not condition(frame):
                    break
            else:
                yield item(frame)

    return generate


def iterate(value: object, path: str) -> Iterable[object]:
    """The items of a list, or the keys of an object."""
    if isinstance(value, (list, Mapping)):
        return cast("Iterable[object]", value)
    raise ExpressionError(f"{path} is {kind_of(value)}: a comprehension goes through a list or an object.")


def bind(names: Sequence[str], value: object) -> Mapping[str, object]:
    """Several names for the items of one item."""
    items = cast("list[object]", value) if isinstance(value, list) else []
    if len(items) != len(names):
        found = f"one of {len(items)}" if isinstance(value, list) else kind_of(value)
        raise ExpressionError(f"{', '.join(names)} need a list of {len(names)} items, not {found}.")
    return dict(zip(names, items, strict=True))
