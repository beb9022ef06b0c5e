"""Processes of tools that turn against the machine or against the server, which is a process of its own here."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.unit.tools.test_isolation import is_alive
from workflows_app.dag import jsontext

ROOT = Path(__file__).resolve().parents[3]
SETPRIV = shutil.which("setpriv")
# Root is not bound by a number of processes: the server becomes somebody else, who may read what root may read.
# Somebody else for each process of tests.
USER = 100_000 + os.getpid() % 100_000
SOMEBODY = [
    str(SETPRIV), f"--reuid={USER}", f"--regid={USER}", "--clear-groups",
    "--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override",
]  # fmt: skip
BOMB = "n=0; while [ $n -lt 300 ]; do sleep 600 >&- 2>&- & n=$((n+1)); done; echo $n"


def serve(tool, inputs, limit=40):
    """The user of the server, and what it got from one tool."""
    prefix = SOMEBODY if os.getuid() == 0 else []
    process = subprocess.run(
        [*prefix, sys.executable, "-m", "tests.unit.tools.hostile_server", tool, jsontext.dumps(inputs), str(limit)],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": "/tmp"},  # noqa: S108 - the folder that everybody has
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert process.returncode == 0, process.stderr
    user, _, result = process.stdout.splitlines()[-1].partition(" ")
    eventually(lambda: not any(map(is_alive, left_by(int(user)))))
    return int(user), jsontext.loads(result)


def left_by(user):
    """The processes of this user, who has none but what a tool has left."""
    if user == os.getuid():
        return []
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if entry.stat().st_uid == user:
                    found.append(int(entry.name))
            except FileNotFoundError:
                continue
    return found


needs_another_user = pytest.mark.skipif(os.getuid() == 0 and SETPRIV is None, reason="root is not bound by limits")


@needs_another_user
def test_a_fork_bomb_of_a_tool_stops_at_the_number_of_processes_and_dies_with_its_group():
    user, forked = serve("isolated.bomb", {"most": 300})
    assert user != 0
    assert 0 < forked <= 40


@needs_another_user
def test_a_fork_bomb_of_a_program_stops_at_the_number_of_processes_and_dies_with_its_group():
    user, result = serve("shell.run", {"program": "sh", "arguments": ["-c", BOMB]})
    assert user != 0
    assert result.startswith("ProgramFailed: The program 'sh' ended with code")
    assert "fork" in result


@needs_another_user
@pytest.mark.parametrize(
    ("tool", "inputs", "result"),
    [
        ("isolated.bomb", {"most": 300}, 300),
        ("shell.run", {"program": "sh", "arguments": ["-c", BOMB]}, {"exit_code": 0, "stdout": "300\n", "stderr": ""}),
    ],
)
def test_without_the_limit_a_bomb_goes_off_and_dies_with_its_group_all_the_same(tool, inputs, result):
    """The control."""
    assert serve(tool, inputs, limit=0)[1] == result


def test_a_tool_that_kills_its_own_group_leaves_the_server_alone():
    _, result = serve("isolated.kills", {"whom": "group"})
    assert result.startswith("ProcessDied: The process of tool 'isolated.kills' was killed by signal 9 (SIGKILL)")


def test_a_tool_that_kills_the_server_dies_with_it_as_the_documentation_says(tmp_path):
    """A fence, not a sandbox: what it may do to its own user's processes, no limit takes away."""
    pid = tmp_path / "pid"
    inputs = jsontext.dumps({"whom": "server", "path": str(pid)})
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.unit.tools.hostile_server", "isolated.kills", inputs, "40"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    output, _ = process.communicate(timeout=50)
    assert (process.returncode, output) == (-9, b"")
    eventually(lambda: not is_alive(int(pid.read_text())))
