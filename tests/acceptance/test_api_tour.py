"""The tour of docs/api.md, typed into a shell line by line, against a real server: what it prints is what comes."""

import os
import shlex
import shutil
import subprocess

import pytest

from tests.acceptance.conftest import ROOT
from tests.console import steps, type_in
from tests.server import serving

pytestmark = [pytest.mark.timeout(180), pytest.mark.one_database]


@pytest.fixture
def environment(shell, tmp_path):
    """That of somebody in the project's folder, whose server is the test's: `uv` is there and installs nothing."""
    uv = shutil.which("uv") or str(ROOT / ".tools/uv/bin/uv")
    binaries = tmp_path / "bin"
    binaries.mkdir()
    program = binaries / "uv"
    program.write_text(f'#!/bin/sh\ncd {shlex.quote(str(ROOT))} && exec {shlex.quote(uv)} "$@"\n')
    program.chmod(0o755)
    return shell.environment | {"UV_NO_SYNC": "1", "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}


def test_the_tour_is_as_it_is_printed(shell, environment, tmp_path):
    made = subprocess.run(
        shell.command("createsuperuser", "--noinput", "--username", "demo", "--email", "demo@localhost"),
        env=environment | {"DJANGO_SUPERUSER_PASSWORD": "-"},
        cwd=ROOT,
    )
    assert made.returncode == 0
    tour = steps((ROOT / "docs" / "api.md").read_text())
    assert len(tour) > 25
    with serving(tmp_path, environment) as server:
        # The server of the tour has a port of its own.
        commands = [command.replace("http://127.0.0.1:8000", server.url) for command, _ in tour]
        printed = type_in(commands, tmp_path, environment)
    assert list(zip(commands, printed, strict=True)) == [
        (command, wanted) for command, (_, wanted) in zip(commands, tour, strict=True)
    ]


def test_a_tour_that_is_wrong_is_found(tmp_path):
    text = "```console\n$ echo one\ntwo\n$ cat <<'END'\nthree\nEND\nthree\n$ echo four \\\n  five\nfour five\n```\n"
    tour = steps(text)
    printed = type_in([command for command, _ in tour], tmp_path, dict(os.environ))
    assert [(wanted, got) for (_, wanted), got in zip(tour, printed, strict=True)] == [
        ("two", "one"),
        ("three", "three"),
        ("four five", "four five"),
    ]
    with pytest.raises(AssertionError, match="false"):
        type_in(["echo one", "false", "echo two"], tmp_path, dict(os.environ))
