"""Random documents that are valid, with random behaviour of their nodes."""

from hypothesis import strategies as st

CONDITIONS = ["true", "false", "nodes.{}.n > 3", "nodes.{}.n > 6", "missing.key > 1"]
JOINS = ["none_failed_min_one_success", "all_success", "one_success", "all_done"]
TYPES = ["tool", "tool", "adapter", "aggregator", "condition", "condition"]


@st.composite
def workflows(draw, max_nodes=14, on_failure="continue"):
    """A pair of document and behaviour. Node `n0` is the trigger; every node is reachable from it."""
    count = draw(st.integers(1, max_nodes))
    nodes = [{"key": "n0", "type": "trigger"}]
    edges = []
    for number in range(1, count):
        nodes.append(draw(_node(f"n{number}")))
        sources = draw(st.lists(st.integers(0, number - 1), min_size=1, max_size=3, unique=True))
        edges += [draw(_edge(nodes[source], f"n{number}", edges)) for source in sources]
    edges = draw(st.permutations(edges))
    document = {
        "name": "random",
        "settings": {
            "max_parallel_nodes": draw(st.integers(1, 4)),
            "scheduling": draw(st.sampled_from(["levels", "eager"])),
            "on_failure": on_failure,
        },
        "nodes": nodes,
        "edges": list(edges),
    }
    return document, {node["key"]: draw(_behaviour(node)) for node in nodes}


@st.composite
def _node(draw, key):
    kind = draw(st.sampled_from(TYPES))
    node = {"key": key, "type": kind, "join": draw(st.sampled_from(JOINS))}
    node["on_error"] = draw(st.sampled_from(["fail", "fail", "continue"]))
    if kind == "tool":
        node["tool"] = "test.node"
        node["retry"] = {"max_retries": draw(st.integers(0, 2)), "delay": 0}
    elif kind == "adapter":
        node["output"] = 1
    elif kind == "condition":
        node["match"] = draw(st.sampled_from(["first", "all"]))
    return node


@st.composite
def _edge(draw, source, target, edges):
    edge = {"from": source["key"], "to": target}
    if source["type"] != "trigger" and draw(st.integers(0, 5)) == 0:
        edge["handle"] = "error"
        if draw(st.integers(0, 3)) == 0:
            edge["condition"] = draw(st.sampled_from(CONDITIONS)).format(source["key"])
        return edge
    if source["type"] == "condition":
        has_default = any(other["from"] == source["key"] and other.get("default") for other in edges)
        if not has_default and draw(st.integers(0, 2)) == 0:
            return edge | {"default": True}
        edge["priority"] = draw(st.integers(0, 2))
        if draw(st.integers(0, 3)):
            edge["condition"] = draw(st.sampled_from(CONDITIONS)).format(source["key"])
    elif source["type"] != "trigger" and draw(st.integers(0, 3)) == 0:
        edge["condition"] = draw(st.sampled_from(CONDITIONS)).format(source["key"])
    return edge


def _behaviour(node):
    works = st.tuples(st.just("ok"), st.fixed_dictionaries({"n": st.integers(0, 9)}))
    if node["type"] == "trigger":
        return works
    return st.one_of(works, works, st.just(("fail", None)))
