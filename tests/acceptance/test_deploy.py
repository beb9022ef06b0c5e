"""docs/deploy.md, typed in: two web processes, two workers, PostgreSQL, Redis; and the other files of a deployment."""

import os
import re
import sys
from pathlib import Path

import pytest

from tests import databases, valkey
from tests.acceptance.conftest import ROOT
from tests.acceptance.test_serve import free_port
from tests.console import steps, type_in

pytestmark = pytest.mark.timeout(300)

PAGE = ROOT / "docs" / "deploy.md"


@pytest.fixture
def checkout(tmp_path):
    """A folder like this project's, with its environment, in which nothing is installed."""
    for name in ("manage.py", "demo"):
        (tmp_path / name).symlink_to(ROOT / name)
    binaries = tmp_path / ".venv" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "activate").write_text(f'export PATH={binaries}:{Path(sys.executable).parent}:"$PATH"\n')
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "uv").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "uv").chmod(0o755)
    return tmp_path


@pytest.mark.skipif(not databases.ON_POSTGRESQL, reason="the page needs PostgreSQL")
def test_the_page_can_be_typed_in_as_it_is(checkout, worker_id):
    tour = steps(PAGE.read_text())
    assert len(tour) > 40
    with databases.new(f"deploy_{worker_id}", checkout) as url, valkey.serving() as redis:
        given = {"DATABASE_URL": url, "REDIS_URL": redis}
        ports = {port: str(free_port()) for port in ("8001", "8002")}

        def here(command):
            """The same command where servers have other addresses."""
            command = re.sub(
                r"^export (DATABASE_URL|REDIS_URL)=.*$", lambda m: f"export {m[1]}='{given[m[1]]}'", command
            )
            return re.sub(r"\b800[12]\b", lambda m: ports[m[0]], command)

        commands = [here(command) for command, _ in tour]
        environment = {
            "PATH": f"{checkout / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin",
            "HOME": str(checkout),
            "PYTHONPATH": str(ROOT),
            "STATIC_ROOT": str(checkout / "static"),
        }
        try:
            printed = type_in(commands, checkout, environment)
        except AssertionError as error:
            logs = "".join(f"{path.name}:\n{path.read_text()}" for path in sorted(checkout.glob("var/*.log")))
            raise AssertionError(f"{error}\n{logs}") from error
    assert list(zip(commands, printed, strict=True)) == [
        (command, wanted) for command, (_, wanted) in zip(commands, tour, strict=True)
    ]
