"""Turns at tools that have a rate: a node waits for its own before its attempt begins, an agent before each call.

Of what waits nothing is on record but a line that says so: a run that ends meanwhile, or whose engine dies, has not
called the tool, and whoever goes on with it asks anew.
"""

import asyncio
from collections.abc import Callable, Sequence

from executions_app.engine.events import Logged
from executions_app.engine.ports import Ports, Sink, Turn
from workflows_app.dag.plan import Plan, names_of
from workflows_app.dag.types import NodeKey, NodeType

# Who waits for so long says so.
SILENT_SECONDS = 1.0


class Turns:
    """The turns of one run's nodes."""

    __slots__ = ("_ended", "_plan", "_ports", "_sink", "_waiting")

    def __init__(self, plan: Plan, sink: Sink, ports: Ports) -> None:
        self._plan = plan
        self._sink = sink
        self._ports = ports
        self._waiting: set[asyncio.Task[None]] = set()
        self._ended = False

    async def of_node(self, node: int) -> bool:
        """Wait until a node may call its tool. False where the waiting was ended before that."""
        planned = self._plan.nodes[node]
        if self._ports.pace is None or planned.type is not NodeType.TOOL:
            return True
        turns = self._ports.pace(names_of(planned.tool, planned.configured))
        if not turns:
            return True
        if self._ended:
            return False
        waiting = asyncio.ensure_future(take(turns, lambda rule: self._say(node, rule)))
        self._waiting.add(waiting)
        try:
            _ = await asyncio.wait({waiting})
        finally:
            _ = waiting.cancel()
            self._waiting.discard(waiting)
        if waiting.cancelled():
            return False
        waiting.result()
        return True

    def _say(self, node: int, rule: str) -> None:
        self._sink.post(said(node, self._plan.nodes[node].key, rule, self._ports))

    def end(self) -> None:
        """Let nobody wait, now or later: the run is to end, or to go on elsewhere."""
        self._ended = True
        for waiting in self._waiting:
            _ = waiting.cancel()


async def take(turns: Sequence[Turn], say: Callable[[str], None]) -> None:
    """Wait for one turn after the other; where that takes long, say which rule is why."""
    loop = asyncio.get_running_loop()
    for turn in turns:
        timer = loop.call_later(SILENT_SECONDS, say, turn.rule)
        try:
            await turn.wait()
        finally:
            timer.cancel()


def said(node: int, key: NodeKey, rule: str, ports: Ports) -> Logged:
    sentence = f"Node '{key}' waits for its turn: {rule}."
    return Logged(node=node, at=ports.clock.now(), level="info", message=sentence)
