"""Small workflow documents for the tests of the validator."""


def node(key, **more):
    return {"key": key, "type": "tool", "tool": "core.set", **more}


def edge(source, target, **more):
    return {"from": source, "to": target, **more}


def workflow(nodes, edges=(), **more):
    """A document with a trigger `start` before the given nodes."""
    return {"name": "w", "nodes": [{"key": "start", "type": "trigger"}, *nodes], "edges": list(edges), **more}


def with_node(**more):
    """A document whose only other node `a` has these keys."""
    return workflow([{"key": "a", **more}], [edge("start", "a")])
