"""Where the nodes of a graph stand in a picture: levels are columns, and few edges cross.

After Sugiyama, Tagawa and Toda (1981): an edge over several columns is a chain of bends, the order inside a column is
found by sweeps that put everything at the mean of its neighbours, and then all is moved as near to its neighbours as
that order allows. Distances are in cells of a grid; the same graph always comes out the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

# There and back, as often at most: more of it changes little, and large graphs shall not wait for it.
_SWEEPS = 4
_LARGE = 20_000
_SWEEPS_OF_LARGE = 1
# Edges that skip columns may bend so often per node; in a graph with more of them they go straight.
_BENDS_PER_NODE = 4

type Columns = list[list[int]]
type Neighbours = list[list[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """For each node its column and its row; for each edge the rows at which it passes the columns between its ends."""

    columns: Sequence[int]
    rows: Sequence[float]
    bends: Sequence[Sequence[float]]


def layout(levels: Sequence[int], ends: Sequence[tuple[int, int]]) -> Layout:
    """Place nodes whose levels are known; each edge leads from a level to a higher one."""
    count = len(levels)
    columns: Columns = [[] for _ in range(max(levels, default=-1) + 1)]
    for node, level in enumerate(levels):
        columns[level].append(node)
    chains = _chains(levels, ends, columns)
    total = sum(map(len, columns))
    before: Neighbours = [[] for _ in range(total)]
    after: Neighbours = [[] for _ in range(total)]
    for chain in chains:
        for source, target in pairwise(chain):
            after[source].append(target)
            before[target].append(source)
    sweeps = _SWEEPS if total <= _LARGE else _SWEEPS_OF_LARGE
    _order(columns, before, after, sweeps)
    rows = _rows(columns, before, after, sweeps)
    return Layout(
        columns=tuple(levels),
        rows=tuple(rows[:count]),
        bends=tuple(tuple(rows[bend] for bend in chain[1:-1]) for chain in chains),
    )


def crossings(levels: Sequence[int], ends: Sequence[tuple[int, int]], rows: Sequence[float]) -> int:
    """How many pairs of edges between the same two levels cross."""
    between: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for source, target in ends:
        between.setdefault((levels[source], levels[target]), []).append((rows[source], rows[target]))
    found = 0
    for lines in between.values():
        lines.sort()
        # Of edges in the order of their sources each pair whose targets are the other way round.
        targets = sorted({target for _, target in lines})
        place = {target: number for number, target in enumerate(targets, 1)}
        counts = [0] * (len(targets) + 1)
        for seen, (_, target) in enumerate(lines):
            found += seen - _sum_to(counts, place[target])
            _add(counts, place[target])
    return found


def _chains(levels: Sequence[int], ends: Sequence[tuple[int, int]], columns: Columns) -> list[list[int]]:
    """For each edge its places from end to end; bends are numbered after the nodes, and put into their columns."""
    count = len(levels)
    wanted = sum(levels[target] - levels[source] - 1 for source, target in ends)
    if wanted > _BENDS_PER_NODE * count:
        return [list(edge) for edge in ends]
    chains: list[list[int]] = []
    following = count
    for source, target in ends:
        passed = range(levels[source] + 1, levels[target])
        bends = list(range(following, following + len(passed)))
        following += len(passed)
        for column, bend in zip(passed, bends, strict=True):
            columns[column].append(bend)
        chains.append([source, *bends, target])
    return chains


def _order(columns: Columns, before: Neighbours, after: Neighbours, sweeps: int) -> None:
    """Sort every column by the mean of its neighbours' relative places, in turn from either side; the best stays."""
    place = [0.0] * len(before)
    for column in columns:
        _note(column, place)
    best, fewest = [list(column) for column in columns], _column_crossings(columns, after, place)
    for _ in range(sweeps):
        for ordered, neighbours in ((columns, before), (columns[::-1], after)):
            for column in ordered:
                column.sort(key=lambda item, near=neighbours: _mean(near[item], place, place[item]))
                _note(column, place)
        found = _column_crossings(columns, after, place)
        if found >= fewest:
            break
        best, fewest = [list(column) for column in columns], found
    columns[:] = best


def _column_crossings(columns: Columns, after: Neighbours, place: Sequence[float]) -> int:
    levels = [0] * len(after)
    for number, column in enumerate(columns):
        for item in column:
            levels[item] = number
    return crossings(levels, [(item, target) for item, near in enumerate(after) for target in near], place)


def _note(column: list[int], place: list[float]) -> None:
    # Relative, so that short columns and long ones can be compared.
    for position, item in enumerate(column):
        place[item] = (position + 0.5) / len(column)


def _rows(columns: Columns, before: Neighbours, after: Neighbours, sweeps: int) -> list[float]:
    """Rows a cell apart at least in a column, each as near to the mean of its neighbours as its order allows."""
    rows = [0.0] * len(before)
    for column in columns:
        for position, item in enumerate(column):
            rows[item] = position - (len(column) - 1) / 2
    for _ in range(sweeps):
        for ordered, neighbours in ((columns[::-1], after), (columns, before)):
            for column in ordered:
                wanted = [_mean(neighbours[item], rows, rows[item]) for item in column]
                for item, row in zip(column, _apart(wanted), strict=True):
                    rows[item] = row
    top = min(rows, default=0.0)
    return [round(row - top, 3) for row in rows]


def _apart(wanted: Sequence[float]) -> list[float]:
    """The nearest numbers, by least squares, of which each is greater by 1 at least than the one before.

    Pooling of adjacent violators: what would stand too close moves as one block to the mean of its wishes.
    """
    blocks: list[tuple[float, int]] = []
    for position, row in enumerate(wanted):
        # Without the cell that each one needs, "a cell apart" is "not less".
        total, size = row - position, 1
        while blocks and blocks[-1][0] / blocks[-1][1] >= total / size:
            above, more = blocks.pop()
            total, size = total + above, size + more
        blocks.append((total, size))
    means = [total / size for total, size in blocks for _ in range(size)]
    return [mean + position for position, mean in enumerate(means)]


def _mean(items: Sequence[int], of: Sequence[float], otherwise: float) -> float:
    return sum(of[item] for item in items) / len(items) if items else otherwise


def _add(counts: list[int], place: int) -> None:
    """Count one at a place (Fenwick 1994)."""
    while place < len(counts):
        counts[place] += 1
        place += place & -place


def _sum_to(counts: Sequence[int], place: int) -> int:
    """How many were counted up to and at a place."""
    found = 0
    while place:
        found += counts[place]
        place &= place - 1
    return found
