"""Processors that do what a generated behaviour says."""

import asyncio
from collections import Counter

from tests.unit.engine.reference import Fail
from workflows_app.dag.types import NodeType
from workflows_app.processors.base import Prepared, Unchecked


class Playback(Unchecked):
    """Plays a behaviour; counts attempts, and how many nodes are inside a processor at a time.

    `pauses` says for how many turns of the event loop a node's code waits before it ends.
    """

    def __init__(self, behaviour, pauses=None):
        self.behaviour = behaviour
        self.pauses = pauses or {}
        self.inside = 0
        self.peak = 0
        self.attempts = Counter()

    def pre_process(self, call):
        return Prepared(input=call.execution_input() if call.node.type is NodeType.TRIGGER else {})

    async def process(self, call, prepared):
        key = call.node.key
        self.attempts[key] += 1
        self.inside += 1
        self.peak = max(self.peak, self.inside)
        try:
            for _ in range(self.pauses.get(key, 0)):
                await asyncio.sleep(0)
            if call.node.type is NodeType.TRIGGER:
                return prepared.input
            return self.outcome(key)
        finally:
            self.inside -= 1

    def outcome(self, key):
        planned = self.behaviour[key]
        if isinstance(planned, Fail) or self.attempts[key] <= planned.after:
            raise type(planned.error, (Exception,), {})(f"{key} fails")
        return planned.output


def processors_for(playback):
    return dict.fromkeys(NodeType, playback)
