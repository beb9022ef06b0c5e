"""Which nodes may start: a value machine over a plan, without waiting and without I/O.

It knows three things of every node: how many of its predecessors are still open, what became of it, and the
states of its incoming edges. `settle` takes one outcome and gives back what it decides: nodes that are ready
and nodes that are skipped, with the reason and the node where it began.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from executions_app.engine.states import NodeStatus, Reason
from workflows_app.dag.branching import EdgeState
from workflows_app.dag.plan import Plan
from workflows_app.dag.types import Join, Scheduling


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A node that will not run: skipped or cancelled. `cause` is a position, -1 for none."""

    node: int
    status: NodeStatus
    reason: Reason
    cause: int = -1

    @property
    def edges(self) -> EdgeState:
        """The state of all its outgoing edges."""
        return EdgeState.BROKEN if self.reason is Reason.UPSTREAM_FAILED else EdgeState.DEAD


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What follows from one outcome."""

    ready: Sequence[int] = ()
    verdicts: Sequence[Verdict] = ()


class Frontier:
    """The control flow of one run.

    `statuses` holds a node's terminal status, RUNNING from `start` on, and PENDING otherwise.
    """

    __slots__ = ("_causes", "_open_edges", "edge_states", "open_nodes", "plan", "statuses")

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.statuses: list[NodeStatus] = [NodeStatus.PENDING] * len(plan.nodes)
        self.edge_states: list[EdgeState] = [EdgeState.OPEN] * len(plan.edges)
        # Nodes that are not terminal.
        self.open_nodes: int = len(plan.nodes)
        self._open_edges: list[int] = [len(edges) for edges in plan.incoming]
        self._causes: dict[int, int] = {}

    def restore(self, node: int, status: NodeStatus, states: Sequence[EdgeState], cause: int) -> None:
        """Take over a node's terminal status and its edges' states from the record, where what follows is too."""
        self._close(node, status)
        if cause >= 0:
            self._causes[node] = cause
        for edge, state in zip(self.plan.outgoing[node], states, strict=True):
            self.edge_states[edge] = state
            self._open_edges[self.plan.ends[edge][1]] -= 1

    def begin(self) -> Step:
        """The nodes whose predecessors are all terminal and that are not; at the very start those without any."""
        return Step(
            ready=[
                node
                for node, edges in enumerate(self._open_edges)
                if not edges and self.statuses[node] is NodeStatus.PENDING
            ]
        )

    def start(self, node: int) -> None:
        """A node got its slot."""
        self.statuses[node] = NodeStatus.RUNNING

    def suspend(self, node: int) -> None:
        """A node waits for its next attempt."""
        self.statuses[node] = NodeStatus.PENDING

    def settle(self, node: int, status: NodeStatus, edges: Iterable[tuple[int, EdgeState]]) -> Step:
        """Take a node's terminal status with the states of its outgoing edges, and decide what follows."""
        self._close(node, status)
        ready: list[int] = []
        verdicts: list[Verdict] = []
        arrived = deque(edges)
        ends = self.plan.ends
        while arrived:
            edge, state = arrived.popleft()
            self.edge_states[edge] = state
            target = ends[edge][1]
            self._open_edges[target] -= 1
            # Already decided: stopped or cancelled while its predecessors were running.
            if self._open_edges[target] or self.statuses[target] is not NodeStatus.PENDING:
                continue
            verdict = self._judge(target)
            if verdict is None:
                ready.append(target)
                continue
            verdicts.append(verdict)
            self._close(target, verdict.status)
            self._causes[target] = verdict.cause
            arrived.extend((edge, verdict.edges) for edge in self.plan.outgoing[target])
        return Step(ready=ready, verdicts=verdicts)

    def stop(self, failed: int) -> Step:
        """Settle a failed node under `on_failure: stop`: nothing new starts any more."""
        self._close(failed, NodeStatus.FAILED)
        doomed = self._descendants(failed)
        verdicts = [
            Verdict(
                node=node,
                status=NodeStatus.SKIPPED if node in doomed else NodeStatus.CANCELLED,
                reason=Reason.UPSTREAM_FAILED if node in doomed else Reason.STOPPED,
                cause=failed,
            )
            for node, status in enumerate(self.statuses)
            if status is NodeStatus.PENDING
        ]
        return self._apply(verdicts)

    def cancel(self, reason: Reason) -> Step:
        """End every node that is not running."""
        return self._apply(
            [
                Verdict(node=node, status=NodeStatus.CANCELLED, reason=reason)
                for node, status in enumerate(self.statuses)
                if status is NodeStatus.PENDING
            ]
        )

    def _apply(self, verdicts: list[Verdict]) -> Step:
        for verdict in verdicts:
            self._close(verdict.node, verdict.status)
        return Step(verdicts=verdicts)

    def _close(self, node: int, status: NodeStatus) -> None:
        self.statuses[node] = status
        self.open_nodes -= 1

    def _judge(self, node: int) -> Verdict | None:
        """Decide a node whose predecessors are all terminal: None to run it, or why it is skipped."""
        edges = self.plan.incoming[node]
        states = [self.edge_states[edge] for edge in edges]
        taken = EdgeState.TAKEN in states
        broken = EdgeState.BROKEN in states
        match self.plan.nodes[node].join:
            case Join.NONE_FAILED_MIN_ONE_SUCCESS:
                runs = taken and not broken
            case Join.ALL_SUCCESS:
                runs = all(state is EdgeState.TAKEN for state in states)
            case Join.ONE_SUCCESS:
                runs = taken
            case _:
                # Join.ALL_DONE
                runs = True
        if runs:
            return None
        if broken:
            reason, deciding = Reason.UPSTREAM_FAILED, (EdgeState.BROKEN,)
        elif taken:
            reason, deciding = Reason.JOIN_RULE, (EdgeState.REFUSED, EdgeState.DEAD)
        elif EdgeState.REFUSED in states:
            reason, deciding = Reason.NOT_TAKEN, (EdgeState.REFUSED,)
        else:
            reason, deciding = Reason.UPSTREAM_SKIPPED, (EdgeState.DEAD,)
        edge = next(edge for edge, state in zip(edges, states, strict=True) if state in deciding)
        source = self.plan.ends[edge][0]
        return Verdict(
            node=node,
            status=NodeStatus.SKIPPED,
            reason=reason,
            # A chain of skips began where the first of them began; everything else begins at the source.
            cause=self._causes.get(source, source),
        )

    def _descendants(self, node: int) -> set[int]:
        seen: set[int] = set()
        stack = [node]
        while stack:
            for edge in self.plan.outgoing[stack.pop()]:
                target = self.plan.ends[edge][1]
                if target not in seen:
                    seen.add(target)
                    stack.append(target)
        return seen


class EagerOrder:
    """A ready node may start at once."""

    __slots__ = ()

    def admit(self, ready: Iterable[int]) -> Iterable[int]:
        return ready

    def close(self, nodes: Iterable[int]) -> Iterable[int]:
        """Nodes that may start because these are terminal."""
        del nodes
        return ()


class LevelOrder:
    """A ready node waits until every node of the levels before its own is terminal."""

    __slots__ = ("_current", "_levels", "_open", "_parked")

    def __init__(self, plan: Plan) -> None:
        self._levels = plan.levels
        self._open: list[int] = [0] * (max(plan.levels, default=0) + 1)
        for level in plan.levels:
            self._open[level] += 1
        self._parked: dict[int, list[int]] = {}
        self._current = 0

    def admit(self, ready: Iterable[int]) -> Iterable[int]:
        now: list[int] = []
        for node in ready:
            level = self._levels[node]
            (now if level <= self._current else self._parked.setdefault(level, [])).append(node)
        return now

    def close(self, nodes: Iterable[int]) -> Iterable[int]:
        for node in nodes:
            self._open[self._levels[node]] -= 1
        released: list[int] = []
        while not self._open[self._current] and self._current + 1 < len(self._open):
            self._current += 1
            released += sorted(self._parked.pop(self._current, ()))
        return released


def order_of(scheduling: Scheduling, plan: Plan) -> EagerOrder | LevelOrder:
    return LevelOrder(plan) if scheduling is Scheduling.LEVELS else EagerOrder()
