"""The tables of docs/semantics.md: the rows of "Which nodes run" in Markdown, each between two marks of its own.

`python -m tests.unit.engine.truth_table --write` brings the document up to date, without `--write` it only tells.
"""

import itertools
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tests.unit.engine.reference import DECIDING, JOINS, EdgeState
from tests.unit.engine.truth_rows import (
    CHOOSERS,
    COMPLETES,
    ENDS,
    ERROR_EDGES,
    FAILURES,
    FIRST,
    ON_ERROR,
    ON_FAILURE,
    OTHER,
    PLACES,
    RAISES,
    TURNS_OUT,
    choice_row,
    end_rows,
    join_row,
    join_rows,
    state_sets,
    stop_rows,
)

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "semantics.md"
COMMAND = "python -m tests.unit.engine.truth_table --write"
# A cell for what is not there.
ABSENT = "-"


def render_joins() -> str:
    def cell(join: str, states: Sequence[EdgeState]) -> str:
        row = join_row(join, states)
        return f"`{row.reason}`" if row.reason else "runs"

    lines = [[", ".join(states), *(cell(join, states) for join in JOINS)] for states in state_sets()]
    return table(["the incoming edges are", *(f"`{join}`" for join in JOINS)], lines)


def render_reasons() -> str:
    skips = [row for row in join_rows() if row.reason]
    lines: list[list[str]] = []
    for number, reason in enumerate(DECIDING):
        own = [row for row in skips if row.reason == reason]
        later = [row.states for row in skips if row.reason in list(DECIDING)[number + 1 :]]
        # What all of them have, and none for which a later reason is the first that fits.
        when = frozenset.intersection(*(row.states for row in own)).difference(*later)
        over = frozenset.union(*(row.deciding for row in own))
        lines.append([f"`{reason}`", f"an edge is {_either(when)}", f"the first edge that is {_either(over)}"])
    return table(["reason of a skip: the first that fits", "when", "its cause is found over"], lines)


def _either(states: frozenset[EdgeState]) -> str:
    return " or ".join(state for state in EdgeState if state in states)


def render_ends() -> str:
    rows = {(row.end, row.on_error, row.error_edges): row for row in end_rows()}

    def cells(*case: str) -> tuple[str, ...]:
        row = rows[case]
        status = row.status if row.reason is None else f"{row.status}, `{row.reason}`"
        return status, row.plain, row.error or ABSENT, row.failure or ABSENT

    case = ["a node", "`on_error`", "condition of its error edge"]
    outcome = ["its status", "its plain edge", "its error edge", "the failure"]
    return table(case + outcome, collapse([ENDS, ON_ERROR, ERROR_EDGES], cells))


def render_choices() -> str:
    def cell(chooser: str, end: str, first: str, second: str) -> str:
        goes_on = choice_row(chooser, (end, "continue"), first, second)
        ends = goes_on if end == RAISES else choice_row(chooser, (end, "fail"), first, second)
        if ends.status == "failed" and end == COMPLETES:
            return f"fails ({' and '.join(goes_on.taken)})"
        return " and ".join(ends.taken)

    # A condition node that fails takes the same with either `match`.
    columns = {chooser: (chooser, COMPLETES) for chooser in CHOOSERS} | {
        "failed condition node, `on_error: continue`": (FIRST, RAISES),
        "any other failed node, `on_error: continue`": (OTHER, RAISES),
    }
    lines = [
        [first, second, *(cell(chooser, end, first, second) for chooser, end in columns.values())]
        for first, second in itertools.product(TURNS_OUT, TURNS_OUT)
    ]
    return table(["first is", "second is", *columns], lines)


def render_stops() -> str:
    rows = {(row.failure, row.on_failure): row for row in stop_rows()}

    def cells(failure: str, on_failure: str) -> tuple[str, ...]:
        row = rows[failure, on_failure]
        fates = [row.fates.get(place) for place in PLACES]
        return *(ended(fate.status, fate.reason) if fate else ABSENT for fate in fates), ended(row.status, row.reason)

    columns = collapse([FAILURES, ON_FAILURE], cells)
    names = [failure if rule == "any" else f"{failure}, `on_failure: {rule}`" for failure, rule, *_ in columns]
    places = [*PLACES.values(), "**the execution**"]
    lines = [[place, *(column[2 + number] for column in columns)] for number, place in enumerate(places)]
    return table(["the failure is", *names], lines)


# Markdown


def ended(status: str, reason: str | None) -> str:
    return f"{status}, `{reason}`" if reason else status


def collapse(dimensions: Sequence[Sequence[str]], cells: Callable[..., tuple[str, ...]]) -> list[list[str]]:
    """The lines of a decision table: values that make no difference share a line, all of them are `any`."""
    if not dimensions:
        return [list(cells())]
    values, *rest = dimensions
    groups: list[tuple[list[str], list[list[str]]]] = []
    for value in values:
        below = collapse(rest, lambda *more, value=value: cells(value, *more))
        for names, lines in groups:
            if _fits(lines, below):
                names.append(value)
                lines[:] = [_filled(*both) for both in zip(lines, below, strict=True)]
                break
        else:
            groups.append(([value], below))
    return [
        ["any" if len(names) == len(values) else " or ".join(names), *line] for names, lines in groups for line in lines
    ]


def _filled(line: list[str], other: list[str]) -> list[str]:
    return [cell if cell != ABSENT else filling for cell, filling in zip(line, other, strict=True)]


def _fits(lines: list[list[str]], others: list[list[str]]) -> bool:
    """Whether two sets of lines say the same; what is absent in one contradicts nothing."""
    pairs = [pair for both in zip(lines, others, strict=False) for pair in zip(*both, strict=True)]
    return len(lines) == len(others) and all(one == other or ABSENT in (one, other) for one, other in pairs)


def table(names: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [names, ["---"] * len(names), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


TABLES: dict[str, Callable[[], str]] = {
    "joins": render_joins,
    "reasons": render_reasons,
    "ends": render_ends,
    "choices": render_choices,
    "stops": render_stops,
}


def rendered(text: str) -> str:
    """The document with every table between its two marks as it must be. Raises `ValueError` where marks lack."""
    for name, render in TABLES.items():
        marks = re.compile(rf"(?s)(<!-- table {name}\b[^>]*-->\n).*?(<!-- end of table {name} -->)")
        text, count = marks.subn(lambda found, render=render: f"{found[1]}\n{render()}\n\n{found[2]}", text)
        if count != 1:
            raise ValueError(f"docs/semantics.md has {count} places for the table '{name}', not one.")
    return text


def main(arguments: list[str]) -> int | str:
    before = DOCUMENT.read_text(encoding="utf-8")
    after = rendered(before)
    if arguments == ["--write"]:
        _ = DOCUMENT.write_text(after, encoding="utf-8")
        return 0
    return 0 if before == after else f"The tables in docs/semantics.md are out of date: run {COMMAND}."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
