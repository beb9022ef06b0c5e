"""Collects what the validator finds and puts it in document order, with node, edge, field and line."""

from collections.abc import Callable, Sequence

from workflows_app.dag.problems import Problem, ProblemCode
from workflows_app.dag.types import JsonObject, JsonValue
from workflows_app.dag.wording import Path, Spelling, dotted

# Maps a path in the document, ("nodes", 3, "retry", "delay"), to its line in the source text.
type LineOf = Callable[[Sequence[str | int]], int | None]


class Findings:
    """The problems of one document, each at a path in it.

    A path may name a key that is not there: what is missing belongs behind what is.
    """

    __slots__ = ("_document", "_found", "_line_of", "_positions", "spelling")

    def __init__(self, document: JsonObject, line_of: LineOf | None = None) -> None:
        self.spelling = Spelling()
        self._document = document
        self._line_of = line_of
        # A dict for its order: one expression may say the same wrong thing twice.
        self._found: dict[tuple[ProblemCode, str, Path], None] = {}
        self._positions: dict[int, dict[str, int]] = {}

    def add(self, code: ProblemCode, message: str, path: Path = ()) -> None:
        self._found[code, message, path] = None

    def problems(self) -> list[Problem]:
        """Everything found, in document order; several at one place in the order of their discovery."""
        ordered = sorted(self._found, key=lambda item: self._order(item[2]))
        return [self._problem(*item) for item in ordered]

    def _problem(self, code: ProblemCode, message: str, path: Path) -> Problem:
        node = edge = None
        below = path
        if len(path) > 1 and path[0] in ("nodes", "edges"):
            part = self._value_at(path[:2])
            if isinstance(part, dict):
                if path[0] == "nodes":
                    node = _text(part.get("key"))
                else:
                    source, target = _text(part.get("from")), _text(part.get("to"))
                    edge = f"{source} -> {target}" if source and target else None
            if node or edge:
                below = path[2:]
        return Problem(
            code=code, message=message, node=node, edge=edge, field=dotted(below) or None, line=self._line(path)
        )

    def _line(self, path: Path) -> int | None:
        """The line of the place, or of the nearest part around it that has one."""
        if self._line_of is None:
            return None
        for length in range(len(path), -1, -1):
            if (line := self._line_of(path[:length])) is not None:
                return line
        return None

    def _order(self, path: Path) -> tuple[int, ...]:
        """Where a path stands in the document, as numbers that sort."""
        numbers: list[int] = []
        value: JsonValue = self._document
        for part in path:
            if isinstance(part, int):
                numbers.append(part)
            else:
                numbers.append(self._position(value, part) if isinstance(value, dict) else 0)
            value = _child(value, part)
        return tuple(numbers)

    def _position(self, mapping: JsonObject, key: str) -> int:
        if (positions := self._positions.get(id(mapping))) is None:
            positions = self._positions[id(mapping)] = {name: number for number, name in enumerate(mapping)}
        return positions.get(key, len(positions))

    def _value_at(self, path: Path) -> JsonValue:
        value: JsonValue = self._document
        for part in path:
            value = _child(value, part)
        return value


def _child(value: JsonValue, part: str | int) -> JsonValue:
    """What is at one step below a value; null where there is nothing."""
    if isinstance(part, int):
        return value[part] if isinstance(value, list) and part < len(value) else None
    return value.get(part) if isinstance(value, dict) else None


def _text(value: JsonValue) -> str | None:
    return value if isinstance(value, str) and value else None
