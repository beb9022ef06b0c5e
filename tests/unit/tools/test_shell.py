"""`shell.run`: real programs, what they get, what they may use, and what is left of them."""

import asyncio
import os
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.unit.tools.test_isolation import is_alive, started
from workflows_app.dag.types import Effect
from workflows_app.tools import shell
from workflows_app.tools.errors import NodeConfigurationError, NodeInputError, NodeOutputError
from workflows_app.tools.process_limits import ChildSetup, ProcessDied, ProcessLimits, processes
from workflows_app.tools.registry import registry
from workflows_app.tools.shell import ProgramFailed

MIB = 1024 * 1024
PROGRAMS = {
    "sh": "/bin/sh",
    "cat": shutil.which("cat"),
    "echo": shutil.which("echo"),
    "python": sys.executable,
    "gone": "/nowhere/gone",
    "text": str(Path(__file__).resolve()),
}


@pytest.fixture(autouse=True)
def _programs(monkeypatch, tmp_path):
    """The folders of the programs are seen here; the settings are those of the start afterwards."""
    monkeypatch.setattr(shell.programs, "allowed", PROGRAMS)
    monkeypatch.setattr(processes, "limits", processes.limits)
    monkeypatch.setattr(processes, "setup", processes.setup)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield
    assert list(tmp_path.glob("pastetrader-*")) == []


@pytest.fixture
def told():
    return []


@pytest.fixture
def run(context, told):
    async def run_(program, *arguments, **inputs):
        loop = asyncio.get_running_loop()
        attempt = replace(context, deadline=loop.time() + 60, interrupted=lambda *what: told.append(what))
        return await registry.get("shell.run").call(
            {"program": program, "arguments": list(arguments), **inputs}, attempt
        )

    return run_


async def test_a_program_gets_its_arguments_as_they_are(run):
    given = ["$HOME", "`id`", "; rm -rf /", "a b", "", "*", "ñ"]
    ended = await run("python", "-c", "import sys; print(*map(ascii, sys.argv[1:]), sep='\\n')", *given)
    assert ended == {"exit_code": 0, "stdout": "".join(f"{one!a}\n" for one in given), "stderr": ""}


async def test_a_program_reads_its_input_and_need_not(run):
    text = "ñ" * 500_000
    assert (await run("cat", stdin=text))["stdout"] == text
    assert (await run("echo", "unread", stdin=text))["stdout"] == "unread\n"


async def test_exit_codes_are_failures_unless_they_are_expected(run):
    with pytest.raises(ProgramFailed) as failed:
        await run("sh", "-c", "echo to stdout; echo why it failed >&2; exit 3")
    assert str(failed.value) == "The program 'sh' ended with code 3. Its last errors: why it failed"
    assert failed.value.code == "program_failed"
    ended = await run("sh", "-c", "echo odd >&2; exit 3", expect=[0, 3])
    assert ended == {"exit_code": 3, "stdout": "", "stderr": "odd\n"}
    with pytest.raises(ProgramFailed, match=r"ended with code 0\. It wrote no errors\."):
        await run("sh", "-c", "exit 0", expect=[1])
    with pytest.raises(ProgramFailed, match="was killed by signal 9"):
        await run("sh", "-c", "kill -9 $$")


@pytest.mark.parametrize("program", ["rm", "/bin/sh", "../bin/sh", "SH", ""])
async def test_only_names_of_the_setting_are_run(run, program):
    with pytest.raises(NodeConfigurationError, match=r"PASTETRADER\['SHELL_PROGRAMS'\].*Known are 'sh', 'cat'"):
        await run(program)


async def test_without_the_setting_nothing_is_run(run, monkeypatch):
    monkeypatch.setattr(shell.programs, "allowed", shell.Programs().allowed)
    with pytest.raises(NodeConfigurationError, match=r"^Tool 'shell.run' may not run 'sh': programs run only where"):
        await run("sh")


@pytest.mark.parametrize("program", ["gone", "text"])
async def test_a_path_that_is_no_program_is_a_sentence(run, program):
    with pytest.raises(NodeConfigurationError, match=rf"The program '{program}' cannot be started \(.+\): correct its"):
        await run(program)


async def test_arguments_that_no_system_takes_are_a_sentence(run):
    with pytest.raises(NodeInputError, match="too long: pass data by 'stdin'"):
        await run("echo", "x" * (8 * MIB))


async def test_the_environment_has_nothing_of_the_server(run, monkeypatch):
    secrets = {"DJANGO_SECRET_KEY", "SECRET_KEY", "DATABASE_URL", "CREDENTIAL_KEYS", "REDIS_URL"}
    for name in secrets:
        monkeypatch.setenv(name, "a secret of the server")
    processes.setup = ChildSetup(keep_environment=["DATABASE_URL"])
    script = "import os; print(*sorted(os.environ)); print(os.environ['HOME'] == os.getcwd(), os.listdir())"
    names, place = (await run("python", "-c", script))["stdout"].splitlines()
    assert set(names.split()) & {*secrets, "DJANGO_SETTINGS_MODULE"} == set()
    assert {"PATH", "HOME", "TMPDIR"} <= set(names.split())
    assert place == "True []"


async def test_the_environment_of_a_program_started_otherwise_has_it(monkeypatch):
    """The control."""
    monkeypatch.setenv("DATABASE_URL", "a secret of the server")
    process = await asyncio.create_subprocess_exec("env", stdout=asyncio.subprocess.PIPE)
    assert b"a secret of the server" in (await process.communicate())[0]


async def test_a_program_does_not_reach_the_pipes_of_its_child(run):
    ended = await run("sh", "-c", "ls /proc/self/fd | wc -l")
    # Its three, and the folder that is listed.
    assert ended["stdout"].strip() == "4"


async def test_more_output_than_is_allowed_is_a_failure_at_once(run, told):
    processes.limits = ProcessLimits(output_bytes=100_000)
    assert len((await run("sh", "-c", "head -c 90000 /dev/zero | tr '\\0' x"))["stdout"]) == 90_000
    with pytest.raises(NodeOutputError, match="wrote more than 100000 bytes of output"):
        await run("sh", "-c", "yes")


async def test_of_a_flood_of_errors_the_end_is_kept(run):
    ended = await run("sh", "-c", "yes | head -c 20000000 >&2; echo the end >&2")
    assert len(ended["stderr"]) <= 8 * 1024
    assert ended["stderr"].endswith("y\nthe end\n")


async def test_output_that_is_no_text_is_a_sentence(run):
    with pytest.raises(NodeOutputError, match="is no text in UTF-8"):
        await run("sh", "-c", "printf '\\377\\376'")


async def test_memory_has_its_limit(run):
    with pytest.raises(ProgramFailed, match="MemoryError"):
        await run("python", "-c", "bytearray(10 * 1024**3)")


async def test_without_the_limit_the_memory_is_there(run):
    """The control; untouched memory costs nothing."""
    processes.limits = ProcessLimits(memory_bytes=64 * 1024**3)
    await run("python", "-c", "import mmap; mmap.mmap(-1, 10 * 1024**3, flags=mmap.MAP_PRIVATE | mmap.MAP_NORESERVE)")


async def test_processor_time_has_its_limit(run):
    processes.limits = ProcessLimits(cpu_seconds=1)
    with pytest.raises(ProgramFailed, match=r"was killed by signal (24|9) \(SIG(XCPU|KILL)\)"):
        await run("sh", "-c", "while :; do :; done")


async def test_a_file_has_its_limit(run):
    processes.limits = ProcessLimits(file_bytes=MIB)
    with pytest.raises(ProgramFailed, match=r"SIGXFSZ|[Ff]ile (size limit|too large)"):
        await run("sh", "-c", "head -c 2000000 /dev/zero > file")
    processes.limits = ProcessLimits(file_bytes=4 * MIB)
    await run("sh", "-c", "head -c 2000000 /dev/zero > file")


@pytest.mark.parametrize("delay", [0, 0.02, 0.1, 0.3])
async def test_a_cancel_at_any_moment_leaves_nothing_behind(run, told, delay):
    before = started()
    task = asyncio.create_task(run("sh", "-c", "sleep 600 & sleep 600"))
    await asyncio.sleep(delay)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert started() == before
    assert not told or told[-1][1] in ("never began", "stopped")


async def test_what_a_program_leaves_running_ends_with_it(run, tmp_path):
    pid = tmp_path / "pid"
    await run("sh", "-c", f"sleep 600 >&- 2>&- & echo $! > {pid}")
    eventually(lambda: not is_alive(int(pid.read_text())))


async def test_a_program_that_kills_its_parent_is_its_own_nodes_failure(run):
    with pytest.raises(ProcessDied, match="was killed by signal 9") as died:
        await run("sh", "-c", "kill -9 $PPID; sleep 600")
    assert died.value.outcome_unknown
    assert (await run("echo", "still here"))["stdout"] == "still here\n"


async def test_a_program_that_kills_its_group_is_its_own_nodes_failure(run):
    with pytest.raises(ProcessDied, match="was killed by signal 9"):
        await run("sh", "-c", "kill -9 0")
    assert os.getpgrp()


async def test_what_a_tool_of_the_shell_is_known_for():
    info = registry.get("shell.run").info
    assert (info.effect, info.effects) == (Effect.AT_MOST_ONCE, {Effect.NONE, Effect.IDEMPOTENT})
    assert info.input_schema["required"] == ["program"]
    assert info.input_schema["properties"]["arguments"]["items"] == {"type": "string"}
    assert info.input_schema["properties"]["expect"]["default"] == [0]
    assert info.output_schema["required"] == ["exit_code", "stdout", "stderr"]


async def test_wrong_inputs_are_refused_before_anything_starts(context):
    with pytest.raises(NodeInputError, match=r"'arguments' of tool 'shell.run'"):
        await registry.get("shell.run").call({"program": "echo", "arguments": "-n"}, context)
