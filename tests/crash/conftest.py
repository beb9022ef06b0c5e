"""Each test has a database of its own, with the workflow that is crashed."""

import pytest

from tests import databases
from tests.crash.world import Place, World

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


@pytest.fixture(scope="session")
def prepared(tmp_path_factory, worker_id):
    folder = tmp_path_factory.mktemp("crash")
    (folder / "crash.yaml").write_text(FLOW)
    (folder / "slow.yaml").write_text(SLOW)
    with databases.new(f"crash_template_{worker_id}", folder) as url:
        world = World(Place(url, folder))
        for command in (["migrate", "-v", "0"], ["import_workflow", folder / "crash.yaml", folder / "slow.yaml"]):
            code, out = world.finished(*command)
            assert code == 0, out
        yield url


@pytest.fixture
def world(prepared, tmp_path, worker_id):
    with databases.new(f"crash_{worker_id}", tmp_path, copy_of=prepared) as url:
        world = World(Place(url, tmp_path))
        try:
            yield world
        finally:
            world.end()
