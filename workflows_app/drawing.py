"""A definition as a drawing: boxes and lines in pixels, which a template writes as SVG. Needs no script."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from workflows_app.dag.layout import layout
from workflows_app.dag.types import Handle, JsonObject
from workflows_app.models import Workflow
from workflows_app.queries import graph_json

# Of a box, and of the space to the next one; before a column to which edges with words lead there is more of it.
WIDTH, HEIGHT = 176, 46
GAP, WORDY_GAP, BETWEEN = 44, 120, 14
MARGIN = 12
LETTERS, EDGE_LETTERS = 21, 16
# Beyond this the tables say more.
MOST_NODES = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A node; `x` and `y` are its upper left corner, `text` what fits of its name."""

    key: str
    name: str
    text: str
    type: str
    x: float
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """An edge. `path` is SVG's; `words` stand at its end; `kind` is out, default or error."""

    source: str
    target: str
    path: str
    words: str
    text: str
    kind: str
    x: float
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    width: float
    height: float
    boxes: Sequence[Box]
    lines: Sequence[Line]


def drawing_of(workflow: Workflow) -> Drawing | None:
    """None where there is nothing to draw, or too much of it."""
    graph = graph_json(workflow)
    nodes, edges = cast("list[JsonObject]", graph["nodes"]), cast("list[JsonObject]", graph["edges"])
    if not nodes or len(nodes) > MOST_NODES:
        return None
    place = {node["key"]: number for number, node in enumerate(nodes)}
    levels = [cast(int, node["level"]) for node in nodes]
    placed = layout(levels, [(place[edge["from"]], place[edge["to"]]) for edge in edges])
    wordy = {levels[place[edge["to"]]] for edge in edges if _is_wordy(edge)}
    left = [float(MARGIN)]
    for column in range(1, max(levels) + 1):
        left.append(left[-1] + WIDTH + (WORDY_GAP if column in wordy else GAP))
    boxes = [
        Box(
            key=str(node["key"]),
            name=str(node["name"]),
            text=_short(str(node["name"]), LETTERS),
            type=str(node["type"]),
            x=left[column],
            y=MARGIN + row * (HEIGHT + BETWEEN),
        )
        for node, column, row in zip(nodes, placed.columns, placed.rows, strict=True)
    ]
    lines = [
        _line(edge, boxes[source], boxes[place[edge["to"]]], list(zip(left[levels[source] + 1 :], bends, strict=False)))
        for edge, bends in zip(edges, placed.bends, strict=True)
        for source in [place[edge["from"]]]
    ]
    return Drawing(
        width=max(box.x for box in boxes) + WIDTH + MARGIN,
        height=max(box.y for box in boxes) + HEIGHT + MARGIN,
        boxes=boxes,
        lines=lines,
    )


def _line(edge: JsonObject, source: Box, target: Box, bends: Sequence[tuple[float, float]]) -> Line:
    """`bends` are where it enters each column that it passes, and at which row."""
    x, y = source.x + WIDTH, source.y + HEIGHT / 2
    path = [f"M{x:.1f} {y:.1f}"]
    for to_x, row in bends:
        to_y = MARGIN + row * (HEIGHT + BETWEEN) + HEIGHT / 2
        path += [_curve(x, y, to_x, to_y), f"H{to_x + WIDTH:.1f}"]
        x, y = to_x + WIDTH, to_y
    end_x, end_y = target.x - 7, target.y + HEIGHT / 2
    path.append(_curve(x, y, end_x, end_y))
    words = _words(edge)
    kind = "error" if edge["handle"] == Handle.ERROR else "default" if edge["default"] else "out"
    return Line(
        source=source.key,
        target=target.key,
        path="".join(path),
        words=words,
        text=_short(words, EDGE_LETTERS),
        kind=kind,
        x=end_x - 4,
        y=end_y - 5,
    )


def _curve(x: float, y: float, to_x: float, to_y: float) -> str:
    middle = (x + to_x) / 2
    return f"C{middle:.1f} {y:.1f} {middle:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"


def _is_wordy(edge: JsonObject) -> bool:
    return bool(_words(edge) or edge["default"] or edge["handle"] == Handle.ERROR)


def _words(edge: JsonObject) -> str:
    return str(edge["label"] or edge["condition"] or "")


def _short(text: str, letters: int) -> str:
    return text if len(text) <= letters else f"{text[: letters - 1]}…"
