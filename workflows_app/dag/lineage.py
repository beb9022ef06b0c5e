"""Who is an ancestor of whom, and whose output is surely there: one streaming pass over the graph.

A node's ancestors are the bits of an integer, with one bit for each node that is asked about and no other,
and a node's integer is dropped once its successors have used it. Where many are needed at the same time, the
pass is repeated for a part of the bits: 100 000 nodes that all ask about each other stay within `_MAX_BITS`.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from itertools import batched

from workflows_app.dag.graph import components
from workflows_app.dag.outline import EdgeOutline, Outline
from workflows_app.dag.types import Join, NodeType

# 64 MiB for each of the two tables.
_MAX_BITS = 2**29
_FEWEST_BITS = 1024

# (node, ancestor): the node uses the output of what should be its ancestor.
type Pair = tuple[str, str]


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What is wrong with the pairs that were asked about.

    `strangers`: the second is no ancestor of the first. `unsure`: it is, but the first can run although the
    second did not complete.
    """

    strangers: set[Pair] = field(default_factory=set)
    unsure: set[Pair] = field(default_factory=set)


@dataclass(slots=True, kw_only=True)
class _Arrival:
    """An incoming edge. `brings_source`: where it is taken, its source has completed and left an output.

    `is_sure`: it is taken whenever nothing before it failed.
    """

    source: str
    brings_source: bool
    is_sure: bool


class Lineage:
    """The order of the nodes of an outline, cycles included, and what is known before a run."""

    __slots__ = ("_arrivals", "_graph", "_handled", "_never_skipped", "_nodes", "_order", "_triggers")

    def __init__(self, outline: Outline) -> None:
        self._graph = outline.graph
        self._nodes = outline.by_key
        self._order = components(outline.graph)
        self._handled = {edge.source for edge in outline.links if edge.is_error}
        self._triggers = {key for key, node in outline.by_key.items() if node.type is NodeType.TRIGGER}
        self._arrivals: dict[str, list[_Arrival]] = {}
        self._never_skipped: set[str] = set()
        self._walk(outline.links)

    def surely_ends_with_output(self, key: str) -> bool:
        """Whether every execution that completes has an output of this node."""
        return key in self._never_skipped and key not in self._handled and not self._nodes[key].goes_on_after_failure

    def judge(self, pairs: Collection[Pair]) -> Verdict:
        """Decide about all pairs of existing nodes. Members of a cycle count as ancestors of each other."""
        verdict = Verdict(strangers={pair for pair in pairs if pair[0] == pair[1]})
        asked: dict[str, list[str]] = {}
        for node, ancestor in pairs:
            if node != ancestor and not self._is_plain(node, ancestor):
                asked.setdefault(node, []).append(ancestor)
        wanted = {ancestor for ancestors in asked.values() for ancestor in ancestors}
        if not wanted:
            return verdict
        # In topological order the early nodes, which have few ancestors, have short integers.
        ordered = [key for component in self._order for key in component if key in wanted]
        size = max(_FEWEST_BITS, _MAX_BITS // self._most_alive())
        for block in batched(ordered, size):
            self._decide({key: 1 << number for number, key in enumerate(block)}, asked, verdict)
        return verdict

    def _walk(self, links: Iterable[EdgeOutline]) -> None:
        """Find out which nodes are never skipped as long as nothing fails, and which edges are always taken."""
        incoming: dict[str, list[EdgeOutline]] = {}
        for edge in links:
            incoming.setdefault(edge.target, []).append(edge)
        for component in self._order:
            for key in component:
                arrivals = [self._arrival(edge) for edge in incoming.get(key, ())]
                self._arrivals[key] = arrivals
                if len(component) > 1 or self._is_never_skipped(key, arrivals):
                    self._never_skipped.add(key)

    def _arrival(self, edge: EdgeOutline) -> _Arrival:
        source = self._nodes[edge.source]
        return _Arrival(
            source=edge.source,
            brings_source=not edge.is_error and not source.goes_on_after_failure,
            is_sure=(
                edge.source in self._never_skipped
                and edge.source not in self._handled
                and source.type is not NodeType.CONDITION
                and not edge.is_default
                and not edge.is_error
                and edge.body.get("condition") is None
            ),
        )

    def _is_never_skipped(self, key: str, arrivals: list[_Arrival]) -> bool:
        node = self._nodes[key]
        if node.type is NodeType.TRIGGER or node.join is Join.ALL_DONE:
            return True
        taken = [arrival.is_sure for arrival in arrivals]
        return bool(taken) and (all(taken) if node.join is Join.ALL_SUCCESS else any(taken))

    def _is_plain(self, node: str, ancestor: str) -> bool:
        """Whether the edges into a node alone show that the ancestor is one and has completed: the usual case."""
        arrivals = self._arrivals[node]
        direct = [arrival for arrival in arrivals if arrival.source == ancestor]
        if not direct:
            return False
        if ancestor in self._triggers:
            return True
        join = self._nodes[node].join
        if join is Join.ALL_DONE or not any(arrival.brings_source for arrival in direct):
            return False
        if join is Join.ALL_SUCCESS:
            return True
        if join is Join.NONE_FAILED_MIN_ONE_SUCCESS and any(a.is_sure and a.brings_source for a in direct):
            return True
        return len(direct) == len(arrivals) and all(arrival.brings_source for arrival in direct)

    def _decide(self, bits: dict[str, int], asked: dict[str, list[str]], verdict: Verdict) -> None:
        reverse = self._graph.reverse
        everything = (1 << len(bits)) - 1
        always = sum(bits.get(key, 0) for key in self._triggers)
        # For each node that still has successors to come: its ancestors and itself; what has completed before it.
        above: dict[str, int] = {}
        completed: dict[str, int] = {}
        left = {key: len(successors) for key, successors in self._graph.adjacency.items()}
        for component in self._order:
            ancestors = 0
            for key in component:
                for source in reverse[key]:
                    ancestors |= above.get(source, 0)
            sure = everything
            if len(component) == 1:
                sure = always | self._completed_before(component[0], completed, bits)
            else:
                ancestors |= sum(bits.get(key, 0) for key in component)
            for key in component:
                for ancestor in asked.get(key, ()):
                    bit = bits.get(ancestor, 0)
                    if bit and not ancestors & bit:
                        verdict.strangers.add((key, ancestor))
                    elif bit and not sure & bit:
                        verdict.unsure.add((key, ancestor))
                above[key] = ancestors | bits.get(key, 0)
                completed[key] = sure
            for key in component:
                for used in (key, *reverse[key]):
                    left[used] -= used != key
                    if not left[used]:
                        _ = above.pop(used, None), completed.pop(used, None)

    def _completed_before(self, key: str, completed: dict[str, int], bits: dict[str, int]) -> int:
        """The bits of what has surely completed when a node that lies on no cycle runs."""
        join = self._nodes[key].join
        arrivals = self._arrivals[key]
        if join is Join.ALL_DONE or not arrivals:
            return 0
        brought = [
            completed[arrival.source] | (bits.get(arrival.source, 0) if arrival.brings_source else 0)
            for arrival in arrivals
        ]
        common, union = brought[0], 0
        for arrival, what in zip(arrivals, brought, strict=True):
            common &= what
            if join is Join.ALL_SUCCESS or (join is Join.NONE_FAILED_MIN_ONE_SUCCESS and arrival.is_sure):
                union |= what
        return common | union

    def _most_alive(self) -> int:
        """The most nodes whose integers are kept at the same time."""
        left = {key: len(successors) for key, successors in self._graph.adjacency.items()}
        alive = most = 1
        for component in self._order:
            alive += len(component)
            most = max(most, alive)
            for key in component:
                alive -= not left[key]
                for source in self._graph.reverse[key]:
                    left[source] -= 1
                    alive -= not left[source]
        return most
