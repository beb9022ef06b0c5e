"""The graph against networkx, on random graphs, and its errors."""

import itertools

import networkx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows_app.dag.graph import (
    DAGGraph,
    DAGValidationError,
    components,
    cycles,
    find_cycle,
    topological_levels,
    topological_sort,
)

KEYS = [f"n{number}" for number in range(8)]


@st.composite
def graphs(draw):
    """Nodes and edges, with cycles, loops and repeated edges."""
    nodes = KEYS[: draw(st.integers(0, len(KEYS)))]
    ends = st.sampled_from(nodes) if nodes else st.nothing()
    edges = draw(st.lists(st.tuples(ends, ends), max_size=16)) if nodes else []
    return nodes, edges


@st.composite
def acyclic_graphs(draw):
    nodes, edges = draw(graphs())
    order = draw(st.permutations(nodes))
    rank = {key: position for position, key in enumerate(order)}
    return nodes, [(a, b) if rank[a] < rank[b] else (b, a) for a, b in edges if a != b]


def reference(nodes, edges):
    graph = networkx.DiGraph()
    graph.add_nodes_from(nodes)
    graph.add_edges_from(edges)
    return graph


@given(graphs())
def test_a_graph_can_be_sorted_if_and_only_if_it_is_acyclic(case):
    graph = DAGGraph(*case)
    if networkx.is_directed_acyclic_graph(reference(*case)):
        assert find_cycle(graph) == []
        assert {key for level in topological_sort(graph) for key in level} == set(graph.nodes)
    else:
        with pytest.raises(DAGValidationError) as caught:
            topological_sort(graph)
        assert caught.value.cycle == tuple(find_cycle(graph))
        assert " -> ".join(caught.value.cycle) in str(caught.value)


@given(acyclic_graphs())
def test_levels_are_those_of_networkx(case):
    expected = [sorted(level) for level in networkx.topological_generations(reference(*case))]
    levels = topological_sort(DAGGraph(*case))
    assert [sorted(level) for level in levels] == expected


@given(acyclic_graphs())
def test_a_level_keeps_the_order_of_the_graph(case):
    nodes, _ = case
    for level in topological_sort(DAGGraph(*case)):
        assert level == sorted(level, key=nodes.index)


@given(acyclic_graphs())
def test_levels_by_position_are_the_levels_by_key(case):
    nodes, edges = case
    numbers = topological_levels(len(nodes), [(nodes.index(a), nodes.index(b)) for a, b in edges])
    levels = topological_sort(DAGGraph(nodes, edges))
    assert {key: number for number, level in enumerate(levels) for key in level} == dict(
        zip(nodes, numbers, strict=True)
    )


@given(graphs())
def test_components_are_those_of_networkx_in_topological_order(case):
    nodes, edges = case
    found = components(DAGGraph(nodes, edges))
    expected = networkx.strongly_connected_components(reference(nodes, edges))
    assert sorted(map(sorted, found)) == sorted(map(sorted, expected))
    place = {key: position for position, component in enumerate(found) for key in component}
    assert all(place[source] <= place[target] for source, target in edges)


@given(graphs())
def test_there_is_one_cycle_for_every_cyclic_component(case):
    nodes, edges = case
    plain = reference(nodes, edges)
    cyclic = [
        component
        for component in networkx.strongly_connected_components(plain)
        if len(component) > 1 or plain.has_edge(*(list(component) * 2))
    ]
    found = cycles(DAGGraph(nodes, edges))
    assert len(found) == len(cyclic)
    for path in found:
        assert path[0] == path[-1]
        assert len(set(path)) == len(path) - 1
        assert all(plain.has_edge(a, b) for a, b in itertools.pairwise(path))


@given(graphs(), st.sampled_from(KEYS))
def test_ancestors_and_descendants_are_those_of_networkx(case, key):
    nodes, edges = case
    if key in nodes:
        graph, plain = DAGGraph(nodes, edges), reference(nodes, edges)
        assert graph.descendants(key) == networkx.descendants(plain, key)
        assert graph.ancestors(key) == networkx.ancestors(plain, key)
        assert graph.reachable_from([key]) == networkx.descendants(plain, key) | {key}


@given(graphs())
def test_neighbours_and_degrees_count_parallel_edges_once(case):
    nodes, edges = case
    graph, plain = DAGGraph(nodes, edges), reference(nodes, edges)
    for key in nodes:
        assert sorted(graph.successors(key)) == sorted(plain.successors(key))
        assert sorted(graph.predecessors(key)) == sorted(plain.predecessors(key))
        assert graph.in_degree[key] == plain.in_degree(key)
    assert graph.entry_nodes == [key for key in nodes if not plain.in_degree(key)]
    assert len(graph) == len(nodes)


def test_a_diamond_has_three_levels():
    graph = DAGGraph("abcd", ["ab", "ac", "bd", "cd"])
    assert topological_sort(graph) == [["a"], ["b", "c"], ["d"]]
    assert graph.entry_nodes == ["a"]


def test_an_empty_graph_has_no_levels():
    assert topological_sort(DAGGraph([])) == []
    assert topological_levels(0, []) == ()


def test_a_graph_knows_its_nodes():
    assert "a" in DAGGraph("ab", ["ab"])
    assert "c" not in DAGGraph("ab", ["ab"])


def test_a_node_that_exists_twice_is_refused_by_name():
    with pytest.raises(DAGValidationError, match="Node 'b' exists twice"):
        DAGGraph("abcb")


@pytest.mark.parametrize("edge", ["az", "za"])
def test_an_edge_to_a_missing_node_is_refused_by_name(edge):
    with pytest.raises(DAGValidationError, match="names the node 'z', which does not exist"):
        DAGGraph("ab", [edge])


def test_levels_by_position_refuse_a_cycle():
    with pytest.raises(DAGValidationError):
        topological_levels(2, [(0, 1), (1, 0)])


def test_the_path_of_a_cycle_begins_and_ends_with_the_same_node():
    with pytest.raises(DAGValidationError) as caught:
        topological_sort(DAGGraph("abcd", ["ab", "bc", "cd", "db"]))
    assert caught.value.cycle == ("b", "c", "d", "b")


def test_a_chain_that_is_deeper_than_the_stack_is_sorted_and_searched():
    keys = [str(number) for number in range(20_000)]
    chain = list(itertools.pairwise(keys))
    assert len(topological_sort(DAGGraph(keys, chain))) == len(keys)
    assert len(find_cycle(DAGGraph(keys, [*chain, (keys[-1], keys[0])]))) == len(keys) + 1
