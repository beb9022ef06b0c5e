"""docs/deploy.md, typed in: two web processes, two workers, PostgreSQL, Redis; and the other files of a deployment."""

import argparse
import contextlib
import os
import re
import shlex
import sys
from pathlib import Path

import pytest
import yaml
from daphne.cli import CommandLineInterface
from django.core.management import get_commands, load_command_class
from django.utils.module_loading import import_string

from tests import databases, valkey
from tests.acceptance.conftest import ROOT
from tests.acceptance.test_serve import free_port
from tests.console import steps, type_in

pytestmark = pytest.mark.timeout(300)

FULL = os.environ.get("CRASH_SIZE") == "full"
PAGE = ROOT / "docs" / "deploy.md"
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
OURS = {name: service for name, service in COMPOSE["services"].items() if service.get("build")}
PROCFILE = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
DOCKERFILE = (ROOT / "Dockerfile").read_text()
UNITS = dict(re.findall(r"```ini\n# \S+?-(\w+)@\.service\n(.*?)```", PAGE.read_text(), re.DOTALL))


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


@pytest.mark.skipif(not (FULL and databases.ON_POSTGRESQL), reason="a minute, on PostgreSQL: CRASH_SIZE=full")
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


def unknown_words(command):
    """What of a command is no program, module, command of Django's or option here."""
    program, *words = shlex.split(command)
    name = Path(program).name
    if name == "daphne":
        with contextlib.suppress(SystemExit, argparse.ArgumentError):
            chosen, left = CommandLineInterface().parser.parse_known_args(words)
            return [*left, *([] if import_string(chosen.application.replace(":", ".")) else ["application"])]
        return words
    if (name, words[:1]) != ("python", ["manage.py"]) or words[1] not in get_commands():
        return [program, *words]
    parser = load_command_class(get_commands()[words[1]], words[1]).create_parser("manage.py", words[1])
    return parser.parse_known_args(words[2:])[1]


def named_commands():
    """Every command of ours that a file of the deployment names."""
    yield from (service["command"] for service in OURS.values())
    yield from (command.replace("${PORT:-8000}", "8000") for command in PROCFILE.values())
    yield shlex.join(yaml.safe_load(re.findall(r"^CMD (.*)$", DOCKERFILE, re.MULTILINE)[0]))
    yield from (re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)[0].replace("%i", "8001") for unit in UNITS.values())


@pytest.mark.one_database
def test_every_command_of_a_deployment_exists():
    commands = list(named_commands())
    assert len(commands) == 9
    assert {command: unknown_words(command) for command in commands} == {command: [] for command in commands}


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("command", "unknown"),
    [
        ("python manage.py run_workers", ["python", "manage.py", "run_workers"]),
        ("python manage.py run_worker --quue cpu", ["--quue", "cpu"]),
        ("daphne --proxies pastetrader.asgi:application", ["--proxies"]),
        ("gunicorn pastetrader.wsgi", ["gunicorn", "pastetrader.wsgi"]),
    ],
)
def test_a_command_that_does_not_exist_is_found(command, unknown):
    assert unknown_words(command) == unknown


@pytest.mark.one_database
def test_compose_starts_each_part_when_what_it_needs_is_there_and_knows_no_secret():
    services = COMPOSE["services"]
    for name in OURS:
        waits = services[name]["depends_on"]
        assert set(waits) == ({"postgres"} if name == "migrate" else {"migrate", "redis"})
        for other, how in waits.items():
            ends = how["condition"] == "service_completed_successfully"
            assert ends == (other == "migrate")
            assert ends or "healthcheck" in services[other]
        assert services[name]["env_file"] == ".env"
        secrets = {key for key in services[name]["environment"] if re.search("KEY|TOKEN|PASSWORD", key)}
        assert secrets == set()
    # Every password is the one of .env; the only ports are of this machine.
    passwords = re.findall(r"PASSWORD: (.*)|:(\$.*?|\w+)@", (ROOT / "compose.yaml").read_text())
    assert {value for found in passwords for value in found if value} == {"${POSTGRES_PASSWORD:?set it in .env}"}
    assert [service["ports"] for service in services.values() if "ports" in service] == [["127.0.0.1:8000:8000"]]
    assert "healthcheck" in services["web"]
    assert {".env", "var", ".git"} <= set((ROOT / ".dockerignore").read_text().split())


@pytest.mark.one_database
def test_the_page_lists_every_variable_that_production_reads():
    source = "".join(
        (ROOT / "pastetrader" / "settings" / name).read_text() for name in ("__init__.py", "production.py")
    )
    read = set(re.findall(r'(?:env\.\w+|environ\.get|_required)\(\s*"([A-Z_]+)"', source)) - {"DEBUG"}
    read |= set(re.findall(r'environ\.get\("([A-Z_]+)"', (ROOT / "executions_app/conf.py").read_text()))
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", PAGE.read_text(), re.MULTILINE)) == read
