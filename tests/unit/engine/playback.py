"""Processors that do what a generated behaviour says."""

import asyncio

from workflows_app.dag.types import NodeType


class Playback:
    """Plays a behaviour, and counts how many nodes are inside a processor at a time."""

    inline = False

    def __init__(self, behaviour, pauses=None):
        self.behaviour = behaviour
        self.pauses = pauses or {}
        self.inside = 0
        self.peak = 0
        self.calls = []

    def prepare(self, call):
        return {}

    async def process(self, call, prepared):
        key = call.node.key
        self.calls.append(key)
        self.inside += 1
        self.peak = max(self.peak, self.inside)
        try:
            for _ in range(self.pauses.get(key, 0)):
                await asyncio.sleep(0)
            kind, output = self.behaviour[key]
            if kind == "fail":
                raise ValueError(f"{key} fails")
            return output
        finally:
            self.inside -= 1


def processors_for(playback):
    return dict.fromkeys(NodeType, playback)
