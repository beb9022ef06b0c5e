"""The REST API beside a plain site: the same server, middleware and kind of database, one round after the other.

Most of what a request costs is daphne, Django and ninja. What is ours is the rest: an answer of ten nodes instead of a
row, and an execution that is accepted, and run in the same process, instead of an insert.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from benchmarks.database import Database
from benchmarks.serving import PATIENCE_SECONDS, Request, Sample, Served, Site, served

NAMES = ("A1", "A2", "A3")
CONNECTIONS = (1, 8)
REQUESTS = 200
SLEEPING = 50
BLOCKED_SECONDS = 6.0
_BEGIN = "import django; django.setup(); from django.core.management import call_command; "
PRODUCT = Site(
    settings="benchmarks.site.settings",
    application="pastetrader.asgi:application",
    prepare=f"{_BEGIN}call_command('migrate', verbosity=0); "
    "from django.contrib.auth import get_user_model; get_user_model().objects.create_user('bench'); "
    "from workflows_app.services.tokens import create_token; print(create_token('bench'))",
)
PLAIN = Site(
    settings="benchmarks.plain.settings",
    application="benchmarks.plain.asgi:application",
    # Its own tables, which have no migrations, only when those are there that they refer to.
    prepare=f"{_BEGIN}call_command('migrate', verbosity=0); call_command('migrate', run_syncdb=True, verbosity=0); "
    "from benchmarks.plain.models import prepare; print(prepare())",
)
_ROOT = "/api/v1"


@dataclass(kw_only=True)
class Answers:
    """By contender: the seconds of every request, and of each round the requests that were answered in a second."""

    name: str
    connections: int
    seconds: dict[str, list[float]] = field(default_factory=dict)
    per_second: dict[str, list[float]] = field(default_factory=dict)

    def add(self, contender: str, sample: Sample) -> None:
        self.seconds.setdefault(contender, []).extend(sample.each)
        self.per_second.setdefault(contender, []).append(len(sample.each) / sample.all)


def measure(name: str, rounds: int, database: Database) -> list[Answers]:
    """The first round warms up and does not count."""
    with ExitStack() as stack:
        product = stack.enter_context(served(PRODUCT, database.beside(f"served_{name.lower()}")))
        if name == "A3":
            return _beside_runs(product, rounds)
        plain = stack.enter_context(served(PLAIN, database.beside(f"plain_{name.lower()}")))
        return _beside_plain(name, product, plain, rounds)


def _beside_plain(name: str, product: Served, plain: Served, rounds: int) -> list[Answers]:
    workflow = _workflow(product, "ten", [_node(number, "core.set") for number in range(1, 10)])
    new = {"name": "item", "data": "{}"}
    if name == "A1":
        title = "GET, 10 nodes beside a row"
        item, execution = plain.ask("POST", "/api/items", new)["id"], _execute(product, workflow, wait=30)
        requests = {
            "product": (product, Request("GET", f"{_ROOT}/executions/{execution}")),
            "plain": (plain, Request("GET", f"/api/items/{item}")),
        }
    else:
        title = "POST, a run of 10 nodes beside an insert"
        requests = {
            "product": (product, Request("POST", f"{_ROOT}/workflows/{workflow}/execute", '{"input": {}}')),
            "plain": (plain, Request("POST", "/api/items", '{"name": "item", "data": "{}"}')),
        }
    return [_in_turns(f"{name} {title}", requests, connections, rounds) for connections in CONNECTIONS]


def _in_turns(title: str, requests: Mapping[str, tuple[Served, Request]], connections: int, rounds: int) -> Answers:
    answers = Answers(name=title, connections=connections)
    for number in range(rounds + 1):
        for contender in list(requests)[:: -1 if number % 2 else 1]:
            site, request = requests[contender]
            sample = site.measure(request, connections, REQUESTS)
            if number:
                answers.add(contender, sample)
            if contender == "product":
                # Nobody's runs are under way while somebody else is measured.
                _until(lambda site=site: not _count(site, "pending") + _count(site, "running"))
    return answers


def _beside_runs(product: Served, rounds: int) -> list[Answers]:
    """The same question while nothing runs, while many runs sleep, and while a node blocks the engine's event loop."""
    ten = _workflow(product, "ten", [_node(number, "core.set") for number in range(1, 10)])
    request = Request("GET", f"{_ROOT}/executions/{_execute(product, ten, wait=30)}")
    asleep = _workflow(product, "asleep", [_node(1, "core.sleep", seconds=600)])
    blocking = _workflow(product, "blocking", [_node(1, "bench.block", seconds=BLOCKED_SECONDS)])

    def ask(title: str, prepare: Callable[[], None]) -> Answers:
        answers = Answers(name=f"A3 GET, {title}", connections=1)
        for number in range(rounds + 1):
            prepare()
            sample = product.measure(request, 1, REQUESTS)
            if number:
                answers.add("product", sample)
        return answers

    def sleep() -> None:
        while _count(product, "running") < SLEEPING:
            _ = _execute(product, asleep)
            _until(lambda: not _count(product, "pending"))

    def block() -> None:
        _until(lambda: not _count(product, "running"))
        execution = _execute(product, blocking)
        _until(lambda: _is_blocking(product, execution))

    idle = ask("nothing runs", lambda: None)
    blocked = ask("the engine's loop is blocked", block)
    return [idle, ask(f"{SLEEPING} runs sleep", sleep), blocked]


def _workflow(site: Served, name: str, nodes: list[dict[str, Any]]) -> str:
    keys = ["start", *(node["key"] for node in nodes)]
    document = {
        "name": name,
        "nodes": [{"key": "start", "type": "trigger"}, *nodes],
        "edges": [{"from": source, "to": target} for source, target in pairwise(keys)],
    }
    return site.ask("POST", f"{_ROOT}/workflows", document)["id"]


def _node(number: int, tool: str, **inputs: Any) -> dict[str, Any]:
    return {"key": f"n{number}", "type": "tool", "tool": tool, "inputs": inputs or {"value": number}}


def _execute(site: Served, workflow: str, wait: int = 0) -> str:
    return site.ask("POST", f"{_ROOT}/workflows/{workflow}/execute?wait={wait}", {"input": {}})["id"]


def _count(site: Served, status: str) -> int:
    return len(site.ask("GET", f"{_ROOT}/executions?limit=200&status={status}")["items"])


def _is_blocking(site: Served, execution: str) -> bool:
    nodes = site.ask("GET", f"{_ROOT}/executions/{execution}")["nodes"]
    return nodes[-1]["status"] == "running"


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError("The runs did not get where they should.")
        time.sleep(0.05)
