"""A seed becomes a workflow, what its code does wrong, and what the world does to it."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from workflows_app.dag.plan import Plan

# Seconds that are exact in binary: sums of them are too.
SHORT = (0, 0, 0.25, 0.5, 1, 2)
LONG = (3, 5, 8, 13, 30)
# Class names of planned errors; ConnectionError has the base OSError.
ERRORS = ("Refused", "Unreachable", "ConnectionError")
JOINS = ("none_failed_min_one_success", "all_success", "one_success", "all_done")
# There is no such name anywhere.
UNEVALUABLE = "missing.key > 1"
CONDITIONS = ("",) * 7 + ("true", "false") + ("n > 3",) * 3 + (UNEVALUABLE,)


class Does(StrEnum):
    SUCCEED = "succeed"
    FAIL = "fail"
    # As after HTTP 429; and a failure that no repetition mends.
    FAIL_RETRYABLE = "fail_retryable"
    FAIL_PERMANENT = "fail_permanent"
    # Waits for ever, and ends when it is told to.
    HANG = "hang"
    # Takes some time to end after it was told to, as with a clean-up.
    END_SLOWLY = "end_slowly"
    # Does not hear that it is to end, and returns a result afterwards.
    SWALLOW = "swallow"
    SWALLOW_FOR_EVER = "swallow_for_ever"
    # Blocks the event loop.
    BLOCK = "block"
    GARBAGE = "garbage"
    CANCEL_ITSELF = "cancel_itself"
    EXIT = "exit"
    # A thread that cannot be stopped.
    LEAVE_BEHIND = "leave_behind"


@dataclass(frozen=True, slots=True)
class Deed:
    """What one attempt does: waits `seconds`, then ends in its way. `number` makes its output its own."""

    does: Does
    seconds: float = 0
    number: int = 0
    error: str = ERRORS[0]


class Strike(StrEnum):
    """What the world does to the run, once, at some time, beside killing its engines."""

    NOTHING = "nothing"
    # Somebody asks this process to cancel.
    CANCEL = "cancel"
    # Somebody asks another process: a mark in the record, heard within a second.
    MARK = "mark"
    # A commit fails.
    DATABASE = "database"
    # Another engine takes the run.
    TAKE_OVER = "take_over"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """`deeds` are those of every tool node, one an attempt, the last one for all that follow."""

    seed: int
    plan: Plan
    input: dict[str, Any]
    deeds: dict[str, Sequence[Deed]]
    strike: Strike
    # In seconds; for DATABASE the number of the batch that fails, from 1.
    strike_at: float
    # After how many seconds an engine goes, engine by engine, and whether it dies or hands the run back; the one after
    # the last of them stays.
    kills: Sequence[tuple[float, bool]]
    # How long each batch takes to be written.
    latencies: Sequence[float]


def scenario(seed: int) -> Scenario:
    """The scenario of a seed: always the same one."""
    draw = random.Random(seed)  # noqa: S311 - chance in a simulation
    nodes = _nodes(draw)
    edges = _edges(draw, nodes)
    document: dict[str, Any] = {"name": f"seed-{seed}", "settings": _settings(draw), "nodes": nodes, "edges": edges}
    plan = Plan.from_document(document)
    strike = draw.choice(
        (Strike.NOTHING,) * 5 + (Strike.CANCEL,) * 3 + (Strike.MARK, Strike.DATABASE, Strike.TAKE_OVER)
    )
    changes = draw.choice((0, 0, 0, 0, 1, 1, 2, 3))
    return Scenario(
        seed=seed,
        plan=plan,
        input={"n": draw.randint(0, 6)} if draw.random() < 0.8 else {},
        deeds={node["key"]: _deeds(draw) for node in nodes if node["type"] == "tool"},
        strike=strike,
        kills=[(draw.choice((*SHORT, *LONG)), draw.random() < 0.6) for _ in range(changes)],
        strike_at=draw.randint(1, 12) if strike is Strike.DATABASE else draw.choice((*SHORT, *LONG)),
        latencies=[draw.choice((0, 0, 0, 0.125, 0.5)) for _ in range(8)],
    )


def _settings(draw: random.Random) -> dict[str, Any]:
    return {
        "scheduling": draw.choice(("levels", "eager")),
        "max_parallel_nodes": draw.randint(1, 4),
        "timeout_seconds": draw.choice((None, 3600, 3600, 20, 5)),
        "on_failure": draw.choice(("continue", "continue", "stop")),
    }


def _nodes(draw: random.Random) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = [{"key": "n0", "type": "trigger"}]
    for number in range(1, draw.randint(2, 12)):
        kind = draw.choice(("tool",) * 6 + ("condition",) * 2 + ("adapter", "aggregator"))
        node: dict[str, Any] = {"key": f"n{number}", "type": kind}
        if draw.random() < 0.35:
            node["join"] = draw.choice(JOINS)
        if draw.random() < 0.2:
            node["on_error"] = "continue"
        match kind:
            case "tool":
                node |= _tool(draw)
            case "condition":
                node["match"] = draw.choice(("first", "all"))
            case "adapter":
                node["output"] = {"n": draw.randint(0, 6)}
            case _:
                node["strategy"] = draw.choice(("merge", "list", "count", "first"))
        nodes.append(node)
    return nodes


def _tool(draw: random.Random) -> dict[str, Any]:
    retry: dict[str, Any] = {
        "max_retries": draw.choice((0, 0, 1, 2, 3)),
        "delay": draw.choice((0, 1, Decimal("0.5"))),
        "multiplier": draw.choice((1, 2)),
        "max_delay": draw.choice((60, 3)),
        "jitter": draw.choice(("none", "none", "full", "equal")),
    }
    if draw.random() < 0.2:
        retry["retry_on"] = [draw.choice((*ERRORS, "OSError", "NodeTimeoutError"))]
    if draw.random() < 0.2:
        retry["never_retry_on"] = [draw.choice((*ERRORS, "OSError"))]
    return {
        "tool": "simulated",
        "effect": draw.choice(("none", "none", "idempotent", "at_most_once")),
        "timeout_seconds": draw.choice((300, 300, 4, 1)),
        "retry": retry,
    }


def _edges(draw: random.Random, nodes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    edges: list[dict[str, Any]] = []
    for number in range(1, len(nodes)):
        for source in sorted(draw.sample(range(number), min(number, draw.choice((1, 1, 2, 3))))):
            edges.append(_edge(draw, nodes[source], f"n{number}", edges))
    return edges


def _edge(draw: random.Random, source: dict[str, Any], target: str, edges: Sequence[dict[str, Any]]) -> dict[str, Any]:
    edge: dict[str, Any] = {"from": source["key"], "to": target}
    is_condition = source["type"] == "condition"
    if source["type"] != "trigger" and source.get("on_error") is None and draw.random() < 0.2:
        edge["handle"] = "error"
    elif (
        is_condition
        and draw.random() < 0.3
        and not any(other["from"] == source["key"] and other.get("default") for other in edges)
    ):
        edge["default"] = True
    elif condition := "" if source["type"] == "trigger" else draw.choice(CONDITIONS):
        edge["condition"] = condition
    if is_condition:
        edge["priority"] = draw.randint(0, 2)
    return edge


def _deeds(draw: random.Random) -> Sequence[Deed]:
    return [_deed(draw) for _ in range(draw.choice((1, 1, 1, 2, 3)))]


_USUAL = (Does.SUCCEED,) * 14 + (Does.FAIL,) * 6 + (Does.FAIL_RETRYABLE, Does.FAIL_PERMANENT)


def _deed(draw: random.Random) -> Deed:
    does = draw.choice(_USUAL if draw.random() < 0.8 else tuple(Does))
    return Deed(
        does=does,
        seconds=draw.choice(SHORT if draw.random() < 0.7 else LONG),
        number=draw.randint(0, 6),
        error=draw.choice(ERRORS),
    )
