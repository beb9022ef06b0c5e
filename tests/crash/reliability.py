"""`make reliability`: the crash suite and the simulation in full size, their figures to docs/figures/reliability.md."""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime

from tests.architecture.source import ROOT

PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
CRASH = [*PYTEST, "tests/crash"]
ON_POSTGRESQL = [sys.executable, "-m", "tests.postgresql"]
PARTS = (
    ("SQLite", CRASH, {"DATABASE_URL": f"sqlite:///{ROOT / 'var' / 'pastetrader.sqlite3'}"}),
    ("PostgreSQL", [*ON_POSTGRESQL, *CRASH], {}),
    *(
        (
            f"PostgreSQL, told by {name}",
            [*ON_POSTGRESQL, *PYTEST, "tests/crash/test_kills.py"],
            {"CRASH_DISPATCH": name},
        )
        for name in ("procrastinate", "celery")
    ),
    ("Each dispatcher", [*ON_POSTGRESQL, *PYTEST, "tests/fleet"], {}),
    ("The engine in virtual time", [*PYTEST, "tests/simulation"], {}),
    ("100 000 schedules", [sys.executable, "manage.py", "simulate", "--seeds", "100000"], {}),
)


def main() -> int:
    sections, failed = [], 0
    for title, command, environment in PARTS:
        print(f"\n== {title}: {' '.join(command[1:])}", flush=True)
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | {"CRASH_SIZE": "full"} | environment, stdout=subprocess.PIPE, text=True
        )
        print(done.stdout)
        failed += done.returncode != 0
        sections.append(section(title, done.stdout))
    if not failed:
        write(sections)
    return failed


def section(title: str, output: str) -> str:
    """The figures that a part printed."""
    found = re.search(r"=+ figures =+\n(.*?)\n(?:=|\d+ passed)", output, re.DOTALL)
    lines = (found.group(1) if found else output).strip().splitlines()
    return f"## {title}\n\n" + "\n".join(f"- {line}" for line in lines) + "\n"


def write(sections: list[str]) -> None:
    head = f"# Reliability in figures\n\nAs `make reliability` printed them, {datetime.now(UTC):%Y-%m-%d}.\n"
    folder = ROOT / "docs" / "figures"
    folder.mkdir(exist_ok=True)
    _ = (folder / "reliability.md").write_text("\n".join([head, *sections]))


if __name__ == "__main__":
    sys.exit(main())
