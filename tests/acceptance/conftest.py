"""The commands as a user runs them: processes of their own, on a database of their own."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


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
    """Runs manage.py on a database in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {
            "DATABASE_URL": f"sqlite:///{folder / 'test.sqlite3'}",
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
def migrated(tmp_path_factory):
    """A database with the tables and the demo workflows, made once."""
    folder = tmp_path_factory.mktemp("migrated")
    shell = Shell(folder)
    assert shell("migrate", "--verbosity", "0").code == 0
    assert shell("import_workflow", *sorted(ROOT.glob("demo/*.yaml"))).code == 0
    return folder / "test.sqlite3"


@pytest.fixture
def shell(migrated, tmp_path):
    shutil.copy(migrated, tmp_path / "test.sqlite3")
    return Shell(tmp_path)
