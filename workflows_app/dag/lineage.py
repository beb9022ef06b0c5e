"""Who is an ancestor of whom, and whose output is surely there: one streaming pass over the graph.

A node's ancestors are the bits of an integer, with one bit for each node that is asked about and no other,
and a node's integer is dropped once its successors have used it. Where many are needed at the same time, the
pass is repeated for a part of the bits: 100 000 nodes that all ask about each other stay within `_MAX_BITS`.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import batched

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


class Lineage:
    """The order of the nodes of an outline, cycles included, and what is known before a run."""

    __slots__ = (
        "_bringing",
        "_graph",
        "_handled",
        "_incoming",
        "_never_skipped",
        "_nodes",
        "_order",
        "_sure",
        "_triggers",
    )

    def __init__(self, outline: Outline) -> None:
        self._graph = outline.graph
        self._nodes = outline.by_key
        self._order = outline.components
        self._incoming: dict[str, list[EdgeOutline]] = {key: [] for key in outline.by_key}
        for edge in outline.links:
            self._incoming[edge.target].append(edge)
        self._triggers = {key for key, node in outline.by_key.items() if node.type is NodeType.TRIGGER}
        # Nodes whose failure may be handled by an edge.
        self._handled = {edge.source for edge in outline.links if edge.is_error}
        # Edges (by position) that, where they are taken, show that their source has left an output.
        self._bringing = {
            edge.position
            for edge in outline.links
            if not edge.is_error and not outline.by_key[edge.source].goes_on_after_failure
        }
        # Nodes that run, and edges that are taken, whenever nothing before them failed.
        self._never_skipped: set[str] = set()
        self._sure: set[int] = set()
        for component in self._order:
            for key in component:
                self._sure.update(edge.position for edge in self._incoming[key] if self._is_always_taken(edge))
                if len(component) > 1 or self._is_always_run(key):
                    self._never_skipped.add(key)

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
        # `batched` reserves what it is told, so that it is told no more than there is.
        for block in batched(ordered, min(size, len(ordered))):
            self._decide({key: 1 << number for number, key in enumerate(block)}, asked, verdict)
        return verdict

    def _is_always_taken(self, edge: EdgeOutline) -> bool:
        return (
            edge.source in self._never_skipped
            and edge.source not in self._handled
            and self._nodes[edge.source].type is not NodeType.CONDITION
            and not edge.is_error
            and not edge.is_default
            and edge.condition is None
        )

    def _is_always_run(self, key: str) -> bool:
        node = self._nodes[key]
        if node.type is NodeType.TRIGGER or node.join is Join.ALL_DONE:
            return True
        taken = [edge.position in self._sure for edge in self._incoming[key]]
        return bool(taken) and (all(taken) if node.join is Join.ALL_SUCCESS else any(taken))

    def _is_plain(self, node: str, ancestor: str) -> bool:
        """Whether the edges into a node alone show that the ancestor is one and has completed: the usual case."""
        incoming = self._incoming[node]
        direct = [edge.position for edge in incoming if edge.source == ancestor]
        if not direct:
            return False
        if ancestor in self._triggers:
            return True
        join = self._nodes[node].join
        bringing = self._bringing.intersection(direct)
        if join is Join.ALL_DONE or not bringing:
            return False
        if join is Join.ALL_SUCCESS or len(bringing) == len(incoming):
            return True
        return join is Join.NONE_FAILED_MIN_ONE_SUCCESS and not self._sure.isdisjoint(bringing)

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
        common, union = -1, 0
        for edge in self._incoming[key] if join is not Join.ALL_DONE else ():
            what = completed[edge.source]
            if edge.position in self._bringing:
                what |= bits.get(edge.source, 0)
            common &= what
            if join is Join.ALL_SUCCESS or (join is Join.NONE_FAILED_MIN_ONE_SUCCESS and edge.position in self._sure):
                union |= what
        return union if common == -1 else common | union

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
