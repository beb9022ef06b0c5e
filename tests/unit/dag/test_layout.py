"""Where nodes stand in a picture."""

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows_app.dag.graph import topological_levels
from workflows_app.dag.layout import Layout, crossings, layout


def placed(count, ends):
    return layout(topological_levels(count, ends), ends)


def document_rows(levels):
    """Every node below those of its level that come before it."""
    seen: dict[int, int] = {}
    rows = []
    for level in levels:
        rows.append(seen.get(level, 0))
        seen[level] = rows[-1] + 1
    return rows


@st.composite
def graphs(draw):
    count = draw(st.integers(1, 30))
    pairs = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(lambda pair: pair[0] < pair[1])
    ends = draw(st.lists(pairs, max_size=60, unique=True)) if count > 1 else []
    return count, ends


@given(graphs())
def test_columns_are_levels_and_no_two_nodes_stand_on_one_place(graph):
    count, ends = graph
    found = placed(count, ends)
    assert found.columns == topological_levels(count, ends)
    assert min(found.rows) >= 0
    by_column: dict[int, list[float]] = {}
    for column, row in zip(found.columns, found.rows, strict=True):
        by_column.setdefault(column, []).append(row)
    for rows in by_column.values():
        assert all(below - above > 0.99 for above, below in pairwise(sorted(rows)))


@given(graphs())
def test_an_edge_that_skips_columns_passes_each_of_them_beside_its_nodes(graph):
    count, ends = graph
    found = placed(count, ends)
    for (source, target), bends in zip(ends, found.bends, strict=True):
        passed = range(found.columns[source] + 1, found.columns[target])
        assert len(bends) in {0, len(passed)}
        for column, bend in zip(passed, bends, strict=False):
            others = [row for at, row in zip(found.columns, found.rows, strict=True) if at == column]
            assert all(abs(bend - row) > 0.99 for row in others)


@given(graphs())
def test_the_same_graph_comes_out_the_same(graph):
    assert placed(*graph) == placed(*graph)


@given(graphs())
def test_where_no_edge_skips_a_column_no_more_edges_cross_than_in_document_order(graph):
    count, ends = graph
    levels = topological_levels(count, ends)
    near = [(source, target) for source, target in ends if levels[target] - levels[source] == 1]
    found = layout(levels, near)
    assert crossings(levels, near, found.rows) <= crossings(levels, near, document_rows(levels))


@given(graphs())
def test_crossings_are_those_that_a_comparison_of_all_pairs_finds(graph):
    count, ends = graph
    levels = topological_levels(count, ends)
    rows = document_rows(levels)
    slow = sum(
        (rows[a] - rows[c]) * (rows[b] - rows[d]) < 0
        for number, (a, b) in enumerate(ends)
        for c, d in ends[:number]
        if (levels[a], levels[b]) == (levels[c], levels[d])
    )
    assert crossings(levels, ends, rows) == slow


def test_edges_that_cross_in_document_order_are_untangled():
    # Two levels of four, each node above leads to the one at the opposite place below.
    ends = [(source, 7 - source) for source in range(4)]
    levels = [0] * 4 + [1] * 4
    assert crossings(levels, ends, document_rows(levels)) == 6
    assert crossings(levels, ends, layout(levels, ends).rows) == 0


def test_a_chain_is_a_straight_line():
    found = placed(4, [(0, 1), (1, 2), (2, 3)])
    assert found == Layout(columns=(0, 1, 2, 3), rows=(0, 0, 0, 0), bends=((), (), ()))


def test_a_node_stands_in_the_middle_of_those_that_it_leads_to():
    found = placed(5, [(0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 4)])
    assert found.rows == (1, 0, 1, 2, 1)


def test_an_edge_goes_around_the_node_between_its_ends():
    found = placed(3, [(0, 1), (1, 2), (0, 2)])
    assert found.bends[2][0] != found.rows[1]


def test_a_graph_whose_edges_skip_too_many_columns_has_straight_ones():
    chain = [(node, node + 1) for node in range(39)]
    far = [(source, target) for source in range(40) for target in range(source + 2, 40)]
    found = placed(40, chain + far)
    assert set(found.bends) == {()}


def test_a_graph_without_edges_is_one_column():
    assert placed(3, []) == Layout(columns=(0, 0, 0), rows=(0, 1, 2), bends=())


def test_nothing_is_placed_where_there_is_nothing():
    assert placed(0, []) == Layout(columns=(), rows=(), bends=())


@pytest.mark.parametrize(("count", "seconds"), [(1000, 1), (30_000, 20)])
def test_a_large_graph_is_placed_in_time(count, seconds):
    ends = sorted({(node // 2, node) for node in range(1, count)} | {(node // 3, node) for node in range(1, count)})
    levels = topological_levels(count, ends)
    begun = time.perf_counter()
    found = layout(levels, ends)
    assert time.perf_counter() - begun < seconds
    assert len(set(zip(found.columns, found.rows, strict=True))) == count
