"""A fuzzer reads the API's own description and sends what it allows, and what it does not, to a real server.

It must never be answered with 5xx, with a status or type that the description does not have, or with a body that is not
of its schema; every refusal must be one. `HYPOTHESIS_PROFILE=thorough` sends twenty times as much.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest

from tests import databases
from tests.acceptance.conftest import ROOT
from tests.server import serving

EXAMPLES = 200 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 3
SEED = 20260102
# A body that fits the schema of documents may still be no workflow, and a cursor is what the API gave: 422 is right.
NOT_ASKED = "positive_data_acceptance"

pytestmark = pytest.mark.timeout(7200 if EXAMPLES > 10 else 600)


@pytest.fixture
def token(shell):
    """A superuser's token."""
    made = subprocess.run(
        [sys.executable, "manage.py", "createsuperuser", "--noinput", "--username", "fuzz", "--email", "f@example.com"],
        env=shell.environment | {"DJANGO_SUPERUSER_PASSWORD": "-"},
        cwd=ROOT,
        capture_output=True,
    )
    assert made.returncode == 0, made.stderr
    return shell("create_token", "fuzz").out.strip()


def ids(url, table):
    return [str(UUID(str(row[0]))) for row in databases.rows(url, f"SELECT id FROM {table}")]


def fuzz(url: str, token: str, folder: Path, known: dict[str, list[str]], *options: str):
    command = [
        Path(sys.executable).with_name("st"), "run", url, "--header", f"Authorization: Bearer {token}", "--seed", SEED,
        "--max-examples", EXAMPLES, "--continue-on-failure", "--exclude-checks", NOT_ASKED, "--no-color", *options,
    ]  # fmt: skip
    environment = os.environ | {
        "FUZZ_KNOWN": json.dumps(known),
        "SCHEMATHESIS_HOOKS": "tests.acceptance.fuzzing",
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.run(list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True)


def test_the_fuzzer_finds_nothing(shell, token, tmp_path, figure):
    for name in ("hello", "diamond", "rsi-screen"):
        assert shell("run_workflow", name).code == 0
    workflows, executions = (ids(shell.environment["DATABASE_URL"], table) for table in TABLES)
    there = {
        "workflow": workflows,
        "execution": executions,
        "key": ["start", "hello", "report", "prices"],
        "edge_id": ids(shell.environment["DATABASE_URL"], "workflows_app_edge")[:20],
        "name": ["core.set", "core.log", "core.fail", "market.rsi"],
    }
    with serving(tmp_path, shell.environment) as server:
        found = fuzz(f"{server.api}/openapi.json", token, tmp_path, there)
        log = server.log.read_text()
    assert found.returncode == 0, found.stdout[-20_000:]
    assert "Traceback" not in log
    tested = re.search(r"Tested: (\d+)", found.stdout)
    sent = re.search(r"([\d,]+) generated", found.stdout)
    assert tested is not None
    assert sent is not None
    assert int(tested[1]) >= 36
    figure(f"fuzzer seed={SEED} operations={tested[1]} requests={sent[1]} findings=0")


TABLES = ("workflows_app_workflow", "executions_app_workflowexecution")


def test_the_fuzzer_finds_a_planted_error(shell, token, tmp_path):
    """The control: three operations that are wrong, each in its own way."""
    environment = shell.environment | {"DJANGO_SETTINGS_MODULE": "tests.acceptance.faulty_site"}
    with serving(tmp_path, environment) as server:
        found = fuzz(f"{server.url}/faulty/openapi.json", token, tmp_path, {}, "--include-tag", "faulty")
    assert found.returncode == 1, found.stdout
    for finding in ("Server error", "Undocumented status code", "Response violates schema"):
        assert finding in found.stdout
