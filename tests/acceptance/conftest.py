"""The commands as a user runs them: processes of their own, on a database of their own."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from tests import databases

ROOT = Path(__file__).resolve().parents[2]
# What the API says of itself, and who may open a socket, is the same on every database.
collect_ignore = ["test_api_fuzz.py", "test_socket_attacks.py"] if databases.ON_POSTGRESQL else []


@dataclass(frozen=True)
class Finished:
    code: int
    out: str
    err: str

    @property
    def json(self):
        """Stdout as the one JSON document that it must be."""
        return json.loads(self.out, parse_float=Decimal)


class Shell:
    """Runs manage.py on the database at `url`; `folder` is for files."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.environment = os.environ | {
            "DATABASE_URL": url,
            "DJANGO_SETTINGS_MODULE": "pastetrader.settings",
            "SECRET_KEY": "of a test",
            "PYTHONWARNINGS": "error::ResourceWarning",
            # Hundreds of processes start: each would compile everything anew where bytecode is not kept.
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir()) / f"pastetrader-bytecode-{os.getuid()}"),
        }

    def __call__(self, *arguments, stdin=None):
        done = subprocess.run(
            self.command(*arguments),
            env=self.environment,
            cwd=ROOT,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=50,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Finished(done.returncode, done.stdout, done.stderr)

    def command(self, *arguments):
        return [sys.executable, "manage.py", *map(str, arguments)]

    def start(self, *arguments, **options):
        """Start a command without waiting for it."""
        return subprocess.Popen(self.command(*arguments), env=self.environment, cwd=ROOT, text=True, **options)

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return path


@pytest.fixture(scope="session")
def migrated(tmp_path_factory, worker_id):
    """A database with the tables and the demo workflows, made once."""
    folder = tmp_path_factory.mktemp("migrated")
    with databases.new(f"migrated_{worker_id}", folder) as url:
        shell = Shell(folder, url)
        assert shell("migrate", "--verbosity", "0").code == 0
        assert shell("import_workflow", *sorted(ROOT.glob("demo/*.yaml"))).code == 0
        yield url


@pytest.fixture
def shell(migrated, tmp_path, worker_id):
    with databases.new(f"test_{worker_id}_shell", tmp_path, copy_of=migrated) as url:
        yield Shell(tmp_path, url)
