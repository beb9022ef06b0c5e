"""The graph alone: adjacency, levels, cycles, reachability. No types of nodes, no expressions."""

from collections import deque
from collections.abc import Iterable, Sequence


class DAGValidationError(ValueError):
    """Raised when nodes and edges do not form a directed acyclic graph.

    `cycle` is the path of one cycle, first node repeated at the end; empty for any other defect.
    """

    def __init__(self, message: str, *, cycle: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.cycle = tuple(cycle)


class DAGGraph:
    """A directed graph of node keys, with parallel edges counted once.

    Raises `DAGValidationError` for a duplicate node or an edge to a node that does not exist. A cycle is
    found by `topological_sort`, not here.
    """

    __slots__ = ("adjacency", "in_degree", "nodes", "reverse")

    nodes: tuple[str, ...]
    # Successors and predecessors of each node, in the order of the edges.
    adjacency: dict[str, list[str]]
    reverse: dict[str, list[str]]
    in_degree: dict[str, int]

    def __init__(self, nodes: Iterable[str], edges: Iterable[tuple[str, str]] = ()) -> None:
        self.nodes = tuple(nodes)
        self.adjacency = {key: [] for key in self.nodes}
        self.reverse = {key: [] for key in self.nodes}
        if len(self.adjacency) != len(self.nodes):
            twice = _first_repeated(self.nodes)
            raise DAGValidationError(f"Node '{twice}' exists twice: give every node a key of its own.")
        for source, target in dict.fromkeys(edges):
            try:
                self.adjacency[source].append(target)
                self.reverse[target].append(source)
            except KeyError as error:
                raise DAGValidationError(
                    f"The edge {source} -> {target} names the node '{error.args[0]}', which does not exist."
                ) from None
        self.in_degree = {key: len(sources) for key, sources in self.reverse.items()}

    @property
    def entry_nodes(self) -> list[str]:
        return [key for key in self.nodes if not self.in_degree[key]]

    def successors(self, key: str) -> list[str]:
        return list(self.adjacency[key])

    def predecessors(self, key: str) -> list[str]:
        return list(self.reverse[key])

    def descendants(self, key: str) -> set[str]:
        return _reach([key], self.adjacency) - {key}

    def ancestors(self, key: str) -> set[str]:
        return _reach([key], self.reverse) - {key}

    def reachable_from(self, keys: Iterable[str]) -> set[str]:
        """The given nodes and all that can be reached from them."""
        return _reach(keys, self.adjacency)

    def __len__(self) -> int:
        return len(self.nodes)

    def __contains__(self, key: object) -> bool:
        return key in self.adjacency


def topological_sort(graph: DAGGraph) -> list[list[str]]:
    """The nodes by level (Kahn 1962): a node is one level below the lowest of its predecessors.

    Keys keep the graph's order within a level. Raises `DAGValidationError` with the path of a cycle.
    """
    waiting = dict(graph.in_degree)
    level = [key for key in graph.nodes if not waiting[key]]
    order = {key: position for position, key in enumerate(graph.nodes)}
    levels: list[list[str]] = []
    done = 0
    while level:
        levels.append(level)
        done += len(level)
        following: list[str] = []
        for key in level:
            for successor in graph.adjacency[key]:
                waiting[successor] -= 1
                if not waiting[successor]:
                    following.append(successor)
        following.sort(key=order.__getitem__)
        level = following
    if done < len(graph.nodes):
        cycle = find_cycle(graph)
        raise DAGValidationError(
            f"The graph has a cycle: {' -> '.join(cycle)}. Remove one of these edges.", cycle=cycle
        )
    return levels


def topological_levels(count: int, ends: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """The level of each of `count` nodes, for edges between positions. Raises `DAGValidationError`."""
    waiting = [0] * count
    following: list[list[int]] = [[] for _ in range(count)]
    for source, target in ends:
        waiting[target] += 1
        following[source].append(target)
    levels = [0] * count
    queue = [position for position in range(count) if not waiting[position]]
    for position in queue:  # grows while it is walked
        below = levels[position] + 1
        for target in following[position]:
            if levels[target] < below:
                levels[target] = below
            waiting[target] -= 1
            if not waiting[target]:
                queue.append(target)
    if len(queue) < count:
        raise DAGValidationError("The graph has a cycle.")
    return tuple(levels)


def find_cycle(graph: DAGGraph) -> list[str]:
    """The path of one cycle, first node repeated at the end; empty where there is none."""
    found = cycles(graph)
    return found[0] if found else []


def cycles(graph: DAGGraph, found: Sequence[list[str]] | None = None) -> list[list[str]]:
    """One cycle for every strongly connected component that has any: a shortest through its first node.

    Each path repeats its first node at the end. They come in the order of their first nodes in the graph.
    `found` are the graph's `components`, where they are known already.
    """
    order = {key: position for position, key in enumerate(graph.nodes)}
    cyclic = [
        component
        for component in (components(graph) if found is None else found)
        if len(component) > 1 or component[0] in graph.adjacency[component[0]]
    ]
    cyclic.sort(key=lambda component: order[component[0]])
    return [_shortest_cycle(graph, component) for component in cyclic]


def components(graph: DAGGraph) -> list[list[str]]:
    """The strongly connected components in topological order (Tarjan 1972, without recursion).

    Nodes that lie on a common cycle are together, every other node is alone: a node's predecessors outside
    its own component come before it. Nodes keep the graph's order within a component.
    """
    order = {key: position for position, key in enumerate(graph.nodes)}
    # The number under which a node was met, then the lowest that it reaches; done nodes are above all.
    lowest: dict[str, int] = {}
    done = len(graph.nodes)
    waiting: list[str] = []
    found: list[list[str]] = []
    # Backwards, because components are found last first: independent nodes then keep the graph's order.
    for start in reversed(graph.nodes):
        if start in lowest:
            continue
        number = lowest[start] = len(lowest)
        waiting.append(start)
        path = [(start, number, iter(graph.adjacency[start]))]
        while path:
            key, number, successors = path[-1]
            for successor in successors:
                if successor not in lowest:
                    below = lowest[successor] = len(lowest)
                    waiting.append(successor)
                    path.append((successor, below, iter(graph.adjacency[successor])))
                    break
                lowest[key] = min(lowest[key], lowest[successor])
            else:
                _ = path.pop()
                if path:
                    parent = path[-1][0]
                    lowest[parent] = min(lowest[parent], lowest[key])
                if lowest[key] == number:
                    component = _pop_until(waiting, key)
                    for member in component:
                        lowest[member] = done
                    component.sort(key=order.__getitem__)
                    found.append(component)
    found.reverse()
    return found


def _shortest_cycle(graph: DAGGraph, component: list[str]) -> list[str]:
    """A shortest cycle through the first node of a cyclic component, found in breadth."""
    start = component[0]
    inside = set(component)
    reached_from: dict[str, str] = {}
    queue = deque([start])
    while start not in reached_from:
        key = queue.popleft()
        for successor in graph.adjacency[key]:
            if successor in inside and successor not in reached_from:
                reached_from[successor] = key
                queue.append(successor)
    path = [start, reached_from[start]]
    while path[-1] != start:
        path.append(reached_from[path[-1]])
    return path[::-1]


def _first_repeated(keys: Iterable[str]) -> str:
    seen: set[str] = set()
    return next(key for key in keys if key in seen or seen.add(key))


def _pop_until(stack: list[str], last: str) -> list[str]:
    """Take everything off `stack` down to `last`, which is taken too."""
    position = len(stack) - 1
    while stack[position] != last:
        position -= 1
    taken = stack[position:]
    del stack[position:]
    return taken


def _reach(keys: Iterable[str], step: dict[str, list[str]]) -> set[str]:
    seen = set(keys)
    stack = list(seen)
    while stack:
        for key in step[stack.pop()]:
            if key not in seen:
                seen.add(key)
                stack.append(key)
    return seen
