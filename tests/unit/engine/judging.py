"""Judges an execution as it was observed: by comparison with the reference model, and under `on_failure: stop`."""

from collections.abc import Collection, Mapping
from typing import Any

from tests.unit.engine.reference import Behaviour, Document, Fate, Result, predict


def differences(expected: Result, observed: Result) -> list[str]:
    """Sentences on everything that was observed otherwise; empty where both are the same."""
    found = []
    if (expected.status, expected.reason) != (observed.status, observed.reason):
        found.append(
            f"The execution is {observed.status} ({observed.reason}), expected: {expected.status} ({expected.reason})."
        )
    for key in {**expected.nodes, **observed.nodes}:
        wanted, seen = expected.nodes.get(key), observed.nodes.get(key)
        if wanted is None or seen is None or not _is_same(wanted, seen):
            found.append(f"{key} is {seen}, expected: {wanted}.")
    return found


def _is_same(expected: Fate, observed: Fate) -> bool:
    return (
        (expected.status, expected.reason) == (observed.status, observed.reason)
        and (expected.status != "skipped" or expected.cause == observed.cause)
        and (observed.attempts is None or expected.attempts == observed.attempts)
    )


def check_stop(
    document: Document,
    behaviour: Behaviour,
    observed: Result,
    *,
    execution_input: Mapping[str, Any] | None = None,
    started: Collection[str] | None = None,
) -> list[str]:
    """What is wrong with an observed result under `on_failure: stop`, as sentences; empty where it is right.

    `started` are the nodes that had started when the first unhandled failure settled, where that is known:
    then nothing else may have run.
    """
    expected = predict(document, behaviour, execution_input=execution_input)
    if observed.nodes.keys() != expected.nodes.keys():
        return [f"There are results of {sorted(observed.nodes)}, expected: of {sorted(expected.nodes)}."]
    as_ever = {key for key, fate in observed.nodes.items() if _is_same(expected.nodes[key], fate)}
    # What ran did so by the usual rules, so that its failure is unhandled here if it is in the prediction.
    failures = sorted(key for key in expected.unhandled & as_ever if observed.nodes[key].status == "failed")
    if not failures:
        return differences(expected, observed)
    found = []
    if (observed.status, observed.reason) != ("failed", "node_error"):
        found.append(f"The execution is {observed.status} ({observed.reason}) although {failures} failed.")
    stop = _Stop(document, observed, failures, as_ever, started)
    return found + [sentence for key in observed.nodes if (sentence := stop.complaint(key))]


class _Stop:
    def __init__(
        self,
        document: Document,
        observed: Result,
        failures: list[str],
        as_ever: set[str],
        started: Collection[str] | None,
    ) -> None:
        self.observed = observed
        self.as_ever = as_ever
        self.started = started
        self.below = {key: descendants(document, key) for key in failures}
        self.predecessors = {
            node["key"]: {edge["from"] for edge in document["edges"] if edge["to"] == node["key"]}
            for node in document["nodes"]
        }
        self.levels = levels(document)
        # "A level starts when the one before is terminal": no failure lets a later one start.
        by_levels = document.get("settings", {}).get("scheduling", "levels") == "levels"
        self.last_level = min(self.levels[key] for key in failures) if by_levels else None

    def complaint(self, key: str) -> str | None:
        """What is wrong with one node, or None."""
        fate = self.observed.nodes[key]
        above = [failure for failure, nodes in self.below.items() if key in nodes]
        if fate.status in ("completed", "failed"):
            return self.complaint_about_run(key, fate, above)
        if fate.status == "skipped" and fate.reason == "upstream_failed" and fate.cause in above:
            # "Descendants of the failed node are skipped (upstream_failed)."
            return None
        if (fate.status, fate.reason) == ("cancelled", "stopped"):
            # "Other nodes that have not started, or wait for a retry, are cancelled (stopped)."
            if len(above) < len(self.below):
                return None
            return f"{key} is {fate}, but it descends from every failure ({above}): it is skipped, upstream_failed."
        if fate.status == "skipped" and not above and key in self.as_ever and self.predecessors[key] <= self.as_ever:
            return None
        return f"{key} is {fate}, which is neither how it ends without a stop nor what a stop makes of it."

    def complaint_about_run(self, key: str, fate: Fate, above: list[str]) -> str | None:
        if above:
            return f"{key} ran ({fate}) although {above} before it failed."
        if key not in self.as_ever:
            return f"{key} ran, but ended otherwise than its processor: {fate}."
        if not self.predecessors[key] <= self.as_ever:
            return f"{key} ran ({fate}) although {sorted(self.predecessors[key] - self.as_ever)} had been stopped."
        if self.last_level is not None and self.levels[key] > self.last_level:
            return f"{key} ran ({fate}) on level {self.levels[key]}, after a failure on level {self.last_level}."
        if self.started is not None and key not in self.started:
            return f"{key} ran ({fate}) although it had not started before the failure."
        return None


def descendants(document: Document, key: str) -> set[str]:
    below: set[str] = set()
    waiting = [key]
    while waiting:
        source = waiting.pop()
        following = {edge["to"] for edge in document["edges"] if edge["from"] == source} - below
        below |= following
        waiting.extend(following)
    return below


def levels(document: Document) -> dict[str, int]:
    """ "0 for nodes without predecessors, else 1 + the highest level of its predecessors." """
    found = {node["key"]: 0 for node in document["nodes"]}
    for _ in found:
        for edge in document["edges"]:
            found[edge["to"]] = max(found[edge["to"]], found[edge["from"]] + 1)
    return found
