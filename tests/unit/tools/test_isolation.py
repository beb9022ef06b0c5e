"""Tools in processes of their own: real processes, and what is left of them."""

import asyncio
import os
import resource
import subprocess
import sys
import threading
import time
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest

from executions_app.engine.errors import names_of
from tests.eventually import eventually
from tests.unit.tools import isolated_tools
from workflows_app.tools import Permanent, Retryable, ToolContext, tool
from workflows_app.tools.errors import NodeConfigurationError, NodeInputError, NodeOutputError, ToolDefinitionError
from workflows_app.tools.process_limits import ChildSetup, ProcessDied, ProcessLimits, ProcessNotStarted, processes
from workflows_app.tools.registry import registry

MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def _isolation():
    """The tools are registered, and the settings are those of the start afterwards."""
    kept = processes.limits, processes.setup
    yield
    processes.limits, processes.setup = kept


@pytest.fixture
def told():
    return []


@pytest.fixture
def context(told):
    def make(deadline=60.0):
        return ToolContext(
            execution_id="e", node="n", attempt_id="a-1", idempotency_key="e:n", number=2,
            deadline=asyncio.get_running_loop().time() + deadline,
            journal=lambda *line: told.append(line), interrupted=lambda *what: told.append(what),
        )  # fmt: skip

    return make


@pytest.fixture
def call(context):
    async def call_(name, **inputs):
        return await registry.get(f"isolated.{name}").call(inputs, context())

    return call_


def is_alive(pid):
    """Whether there is such a process that is more than a name in a table."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        # It may also go between the opening and the reading.
        return False


def started():
    """The processes that this one started and has not waited for."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[1]) == os.getpid():
                found.add(int(entry.name))
    return found


@pytest.fixture
def children():
    """Those that the test started; other tests may have left a server for theirs."""
    others = started()
    return lambda: sorted(started() - others)


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_digits_survive_the_way_there_and_back(call):
    assert await call("price", symbol="AAPL", amount=Decimal("1234567890123456789012345.50")) == {
        "symbol": "AAPL",
        "price": Decimal("2469135780246913578024691.00"),
    }


async def test_the_attempt_and_its_journal_are_there_too(call, told):
    assert await call("later") == {"attempt": "a-1", "key": "e:n", "left": True}
    assert told == [("warning", "at work", {"attempt": 2})]


async def test_every_call_has_a_process_of_its_own(call):
    pids = await asyncio.gather(*(call("pid") for _ in range(8)))
    assert len(set(pids)) == 8
    assert os.getpid() not in pids
    assert not any(is_alive(pid) for pid in pids)


@pytest.mark.parametrize(
    ("how", "names", "text"),
    [
        ("value", ("ValueError", "Exception"), "wrong"),
        ("own", ("OutOfStock", "ConnectionError", "OSError", "Exception"), "AAPL: 0 left"),
    ],
)
async def test_what_a_tool_raises_has_its_class_its_text_and_where_it_was_raised(call, how, names, text):
    with pytest.raises(Exception, match=text) as raised:
        await call("fails", how=how)
    assert tuple(dict.fromkeys(names_of(type(raised.value)))) == names
    assert str(raised.value) == text
    assert "isolated_tools.py" in raised.value.__notes__[0]


async def test_an_error_on_purpose_keeps_what_retries_depend_on(call):
    with pytest.raises(isolated_tools.Refused, match="no") as refused:
        await call("fails", how="node")
    assert (refused.value.code, refused.value.retryable) == ("refused", False)
    with pytest.raises(Permanent, match="closed"):
        await call("fails", how="permanent")
    with pytest.raises(Retryable, match="busy") as retryable:
        await call("fails", how="retryable")
    assert retryable.value.retry_after == 2.5


async def test_inputs_are_checked_as_anywhere_else(call):
    with pytest.raises(NodeInputError, match=r"'amount' of tool 'isolated.price'"):
        await call("price", symbol="AAPL", amount="much")
    with pytest.raises(NodeInputError, match=r"has no input 'sybmol'. Did you mean 'symbol'"):
        await call("price", sybmol="AAPL", amount=1)


@pytest.mark.parametrize(
    ("how", "part"),
    [
        ("exit", "exited with code 7 before it answered"),
        ("kill", "was killed by signal 9 (SIGKILL)"),
    ],
)
async def test_a_process_that_dies_is_its_nodes_failure_with_its_last_words(call, how, part):
    with pytest.raises(ProcessDied) as died:
        await call("dies", how=how)
    assert part in str(died.value)
    assert "its limits are 1024 MiB of memory. Its last output: last words" in str(died.value)
    assert died.value.outcome_unknown


async def test_an_exit_is_a_failure_that_says_how(call):
    with pytest.raises(ProcessDied, match=r"exited with code 1 before it answered.*Its last output: bye"):
        await call("fails", how="exit")


async def test_memory_has_its_limit(call):
    with pytest.raises(MemoryError, match="ran out of memory; its limits are 1024 MiB of memory"):
        await call("dies", how="memory")
    assert await call("pid")


async def test_processor_time_has_its_limit(call):
    processes.limits = ProcessLimits(cpu_seconds=1)
    with pytest.raises(ProcessDied, match=r"SIGXCPU.*1 s of processor time|SIGKILL.*1 s of processor time"):
        await call("dies", how="loops")


async def test_an_output_has_its_limit(call):
    processes.limits = ProcessLimits(output_bytes=100_000)
    with pytest.raises(NodeOutputError, match="more than 100000 bytes"):
        await call("dies", how="output")


async def test_a_result_that_is_no_json_is_refused(call):
    with pytest.raises(NodeOutputError, match="is not JSON"):
        await call("dies", how="nothing JSON")


async def test_a_flood_of_prints_neither_fills_the_memory_nor_stops_the_tool(call):
    assert await call("dies", how="flood") == "flooded"


@pytest.mark.parametrize("delay", [0, 0.001, 0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3])
async def test_a_cancel_at_any_moment_leaves_nothing_behind(call, told, tmp_path, delay, children):
    task = asyncio.create_task(call("hangs", path=str(tmp_path / "pids")))
    await asyncio.sleep(delay)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert children() == []
    assert not told or told[-1][1] in ("never began", "stopped")


async def test_a_loop_that_never_ends_is_killed_with_what_it_started(call, told, tmp_path):
    pids = tmp_path / "pids"
    task = asyncio.create_task(call("hangs", path=str(pids)))
    while not pids.exists():  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(0.01)
    outer, inner = map(int, pids.read_text().split())
    assert is_alive(outer)
    assert is_alive(inner)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not is_alive(outer)
    eventually(lambda: not is_alive(inner))
    assert told == [("The process of tool 'isolated.hangs' was killed.", "stopped")]


def test_a_process_dies_with_its_parent(tmp_path):
    pids = tmp_path / "pids"
    parent = subprocess.Popen(
        [
            sys.executable, "-c",
            f"""
import asyncio
from workflows_app.tools import ToolContext
from workflows_app.tools.registry import registry
import tests.unit.tools.isolated_tools
async def main():
    context = ToolContext(execution_id="e", node="n", attempt_id="a", idempotency_key="k", number=1,
                          deadline=asyncio.get_running_loop().time() + 60, journal=print)
    await registry.get("isolated.hangs").call({{"path": {str(pids)!r}}}, context)
asyncio.run(main())
""",
        ],
        cwd=Path(__file__).resolve().parents[3],
    )  # fmt: skip
    try:
        eventually(pids.exists)
    finally:
        parent.kill()
        parent.wait()
    for pid in map(int, pids.read_text().split()):
        eventually(lambda pid=pid: not is_alive(pid))


async def test_the_environment_is_clean_but_for_what_is_named(call, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "of the server")
    monkeypatch.setenv("DATABASE_URL", "postgres://user:password@host/name")
    monkeypatch.setenv("FEED", "wanted")
    assert {"SECRET_KEY", "DATABASE_URL", "FEED"}.isdisjoint(await call("environment"))
    processes.setup = ChildSetup(keep_environment=["FEED"])
    found = await call("environment")
    assert found["FEED"] == "wanted"
    assert "SECRET_KEY" not in found


async def test_a_setup_that_fails_says_so(call):
    processes.setup = ChildSetup(function="nowhere:setup")
    with pytest.raises(NodeConfigurationError, match=r"calling nowhere:setup\(\) failed with ModuleNotFoundError"):
        await call("pid")


async def test_no_descriptor_is_left_open(call):
    await call("pid")
    before = descriptors()
    for _ in range(5):
        await call("pid")
        with pytest.raises(ProcessDied):
            await call("dies", how="exit")
    assert descriptors() == before


def test_event_loops_of_other_threads_can_call(context):
    results = []

    async def main():
        results.append(await registry.get("isolated.price").call({"symbol": "A", "amount": 1}, context()))

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    thread.join(30)
    assert results == [{"symbol": "A", "price": 2}]


async def test_a_function_that_cannot_be_found_again_is_a_sentence(context):
    with registry.scoped():

        @tool("isolated.local", isolation="process")
        def local() -> int:
            return 1

        with pytest.raises(NodeConfigurationError, match="define it at the top level of a module"):
            await registry.get("isolated.local").call({}, context())


def test_an_unknown_isolation_is_refused_at_the_decorator():
    with pytest.raises(
        ToolDefinitionError, match=r"The isolation 'vm' of tool 'a.b' is none: use 'thread' or 'process'"
    ):
        tool("a.b", isolation="vm")


@pytest.mark.parametrize(
    ("how", "names", "text"),
    [
        ("group", ("ExceptionGroup", "BaseExceptionGroup", "Exception"), "two at once (2 sub-exceptions)"),
        ("stop", ("StopIteration", "Exception"), "over"),
        ("cancelled", ("CancelledError", "Exception"), "by itself"),
        ("interrupt", ("KeyboardInterrupt", "Exception"), "pressed"),
    ],
)
async def test_an_error_that_cannot_be_raised_here_is_one_of_its_names(call, how, names, text):
    with pytest.raises(Exception) as raised:  # noqa: PT011 - its names are what is asserted
        await call("fails_oddly", how=how)
    assert tuple(dict.fromkeys(names_of(type(raised.value)))) == names
    assert str(raised.value) == text


async def test_a_call_that_is_cancelled_again_and_again_still_waits_for_its_process(call, told, tmp_path, children):
    pids = tmp_path / "pids"
    task = asyncio.create_task(call("hangs", path=str(pids)))
    while not pids.exists():  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(0.01)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert children() == []
    assert told[-1][1] == "stopped"


async def test_a_journal_that_refuses_a_line_fails_the_call_at_once():
    def refuse(*_line):
        raise RuntimeError("no more lines")

    context = ToolContext(
        execution_id="e", node="n", attempt_id="a", idempotency_key="k", number=1,
        deadline=asyncio.get_running_loop().time() + 60, journal=refuse,
    )  # fmt: skip
    with pytest.raises(RuntimeError, match="no more lines"):
        await asyncio.wait_for(registry.get("isolated.logs").call({}, context), 20)


async def test_a_tool_that_writes_to_the_pipe_of_its_answers_is_told_so(call):
    with pytest.raises(ProcessDied, match="wrote to the pipe of its answers"):
        await call("scribbles")


async def test_an_output_up_to_its_limit_arrives_and_one_beyond_does_not(call):
    # Two of the bytes are quotes.
    processes.limits = ProcessLimits(output_bytes=300_002)
    assert len(await call("returns", length=300_000)) == 300_000
    with pytest.raises(NodeOutputError, match="more than 300002 bytes"):
        await call("returns", length=300_001)


async def test_a_long_output_is_read_in_time_that_grows_with_its_length(call):
    """Searching all that has arrived after each piece took seconds of the event loop's time."""
    before = time.process_time()
    assert len(await call("returns", length=15_000_000)) == 15_000_000
    assert time.process_time() - before < 1


async def test_too_many_open_files_are_a_failure_that_leaves_none_open(call, children):
    await call("pid")
    before = descriptors()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for spare in range(1, 9):
        resource.setrlimit(resource.RLIMIT_NOFILE, (before + spare, hard))
        try:
            with suppress(ProcessNotStarted):
                await call("pid")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert descriptors() == before
    assert children() == []
