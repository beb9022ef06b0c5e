"""Each test has a database of its own, with the workflow that is crashed."""

import os
from contextlib import contextmanager

import pytest

from tests import databases, valkey
from tests.crash.world import Place, World

# Troubles of SQLite alone; a server is crashed in test_kills. And what PostgreSQL alone has.
collect_ignore = ["test_database_troubles.py"] if databases.ON_POSTGRESQL else ["test_upgrade.py", "test_partitions.py"]

FLOW = """name: crash
nodes:
  - {key: t, type: trigger}
  - {key: read, type: tool, tool: crash.read, inputs: {seconds: 0.02}, retry: {max_retries: 2, delay: 0.05}}
  - {key: flaky, type: tool, tool: core.fail, inputs: {times: 1}, retry: {max_retries: 1, delay: 0.05}}
  - {key: pay, type: tool, tool: crash.pay, inputs: {seconds: 0.05}}
  - {key: check, type: condition}
  - {key: order, type: tool, tool: crash.order, inputs: {seconds: 0.03}}
  - {key: never, type: tool, tool: crash.order}
  - {key: done, type: aggregator, strategy: list}
edges:
  - {from: t, to: read}
  - {from: t, to: flaky}
  - {from: read, to: pay}
  - {from: pay, to: check}
  - {from: check, to: order, condition: "pay > 0"}
  - {from: check, to: never, default: true}
  - {from: order, to: done}
  - {from: never, to: done}
  - {from: flaky, to: done}
"""
BUSY = """name: busy
nodes:
  - {key: t, type: trigger}
  - {key: a, type: tool, tool: crash.read, inputs: {seconds: 0.3}}
  - {key: b, type: tool, tool: crash.pay, inputs: {seconds: 0.3}}
  - {key: c, type: tool, tool: crash.order, inputs: {seconds: 0.05}}
  - {key: d, type: tool, tool: crash.read, inputs: {seconds: 0.2}}
edges:
  - {from: t, to: a}
  - {from: a, to: b}
  - {from: b, to: c}
  - {from: c, to: d}
"""
CALM = """name: calm
nodes:
  - {key: t, type: trigger}
  - {key: a, type: tool, tool: crash.read, inputs: {seconds: 0.1}}
  - {key: b, type: tool, tool: crash.pay, inputs: {seconds: 0.1}}
edges:
  - {from: t, to: a}
  - {from: a, to: b}
"""
POISON = """name: poison
nodes:
  - {key: t, type: trigger}
  - {key: kill, type: tool, tool: crash.poison}
edges:
  - {from: t, to: kill}
"""
LONG = """name: long
nodes:
  - {key: t, type: trigger}
  - {key: first, type: tool, tool: crash.read, inputs: {seconds: 60}}
  - {key: second, type: tool, tool: crash.read}
edges:
  - {from: t, to: first}
  - {from: first, to: second}
"""
SLOW = """name: slow
nodes:
  - {key: t, type: trigger}
  - {key: first, type: tool, tool: crash.read, inputs: {seconds: 0.3}}
  - {key: second, type: tool, tool: crash.read, inputs: {seconds: 1.2}}
  - {key: third, type: tool, tool: crash.order}
edges:
  - {from: t, to: first}
  - {from: first, to: second}
  - {from: second, to: third}
"""


RATED = (
    """name: rated
nodes:
  - {key: t, type: trigger}
"""
    + "".join(f"  - {{key: q{number}, type: tool, tool: crash.quote}}\n" for number in range(10))
    + "edges:\n"
    + "".join(f"  - {{from: t, to: q{number}}}\n" for number in range(10))
)


# Its agents would pay for 72 requests, again after each crash.
AGENTS = """name: agents
settings: {max_parallel_nodes: 12, budget: {max_cost: 48}}
nodes:
  - {key: t, type: trigger}
""" + "".join(
    f"  - {{key: a{number}, type: agent, provider: scripted, model: m, prompt: '?'}}\n" for number in range(12)
) + "edges:\n" + "".join(f"  - {{from: t, to: a{number}}}\n" for number in range(12))  # fmt: skip


@pytest.fixture(scope="session")
def prepared(tmp_path_factory, worker_id):
    with template(tmp_path_factory.mktemp("crash"), f"crash_template_{worker_id}") as url:
        yield url


@contextmanager
def template(folder, name, *more):
    """A database to copy, with the workflows."""
    with databases.new(name, folder) as url:
        prepare(World(Place(url, folder)), *more)
        yield url


def prepare(world, *more):
    """Make the tables, and import the workflows."""
    for text in (FLOW, BUSY, CALM, POISON, LONG, SLOW, AGENTS, RATED, *more):
        path = world.place.folder / f"{text.split()[1]}.yaml"
        _ = path.write_text(text)
    for command in (["migrate", "-v", "0"], ["import_workflow", *world.place.folder.glob("*.yaml")]):
        code, out = world.finished(*command)
        assert code == 0, out


@pytest.fixture(scope="session")
def told():
    """The settings of workers that are told of runs by the dispatcher that CRASH_DISPATCH names."""
    name = os.environ.get("CRASH_DISPATCH", "inline")
    if name != "celery":
        yield {"DISPATCH": name}
        return
    with valkey.own() as url:
        yield {"DISPATCH": name, "CELERY_BROKER": url}


@pytest.fixture
def world(prepared, tmp_path, worker_id, told):
    with databases.new(f"crash_{worker_id}", tmp_path, copy_of=prepared) as url:
        world = World(Place(url, tmp_path, settings=told))
        try:
            yield world
        finally:
            world.end()
