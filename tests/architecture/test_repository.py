"""The texts around the code are true: nothing unfinished, no command that does not exist, no loose rule."""

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.architecture.source import PACKAGES, ROOT, name_of, python_files

# Written in two parts, so that this file does not find itself.
MARKS = ("TO" + "DO", "FIX" + "ME", "X" + "XX", "NotImplemented" + "Error")
UNFINISHED = re.compile(rf"\b(?:{'|'.join(MARKS)})\b")
TARGET = re.compile(r"^([a-z][a-z-]*):(?!=)", re.MULTILINE)
HELP = re.compile(r"^([a-z][a-z-]*):[^=\n]*## ", re.MULTILINE)
TEXTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile", ".ci/run")
ADR_LINES = 60


def unfinished(paths: Iterable[Path]) -> list[str]:
    return [
        f"{name_of(path)}:{number}"
        for path in paths
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if UNFINISHED.search(line)
    ]


def unknown_targets(text: str, makefile: str) -> list[str]:
    """The targets that a text tells its reader to make and the Makefile does not have."""
    told = re.findall(r"(?:`|^|\$ )make ([a-z][a-z-]*)", text, re.MULTILINE)
    return sorted(set(told) - set(TARGET.findall(makefile)))


def unknown_files(text: str) -> list[str]:
    """The files below demo/ and docs/ that a text names and that do not exist."""
    return sorted(name for name in set(re.findall(r"\b(?:demo|docs)/[\w./-]*\w", text)) if not (ROOT / name).exists())


def test_nothing_is_left_unfinished() -> None:
    texts = [ROOT / name for name in (*TEXTS, "manage.py", "pyproject.toml")]
    adrs = (ROOT / "docs").rglob("*.md")
    demos = (ROOT / "demo").glob("*.yaml")
    assert unfinished([*python_files(*PACKAGES, "tests", "benchmarks"), *texts, *adrs, *demos]) == []


def test_a_planted_mark_is_found(tmp_path: Path) -> None:
    path = tmp_path / "planted.py"
    _ = path.write_text("x = 1\n# TO" + "DO: later\nmastodon = 2\n", encoding="utf-8")
    assert unfinished([path]) == ["planted.py:2"]


def test_every_command_that_the_texts_name_is_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for name in TEXTS:
        assert unknown_targets((ROOT / name).read_text(encoding="utf-8"), makefile) == [], name


def test_a_command_that_is_not_in_the_makefile_is_found() -> None:
    text = "Run `make it`, or\n$ make demo\nmake hay\nand make sure that all is well."
    assert unknown_targets(text, "demo: sync ## show\n\ntest := 1\n") == ["hay", "it"]


def test_every_file_that_the_texts_name_exists() -> None:
    for name in TEXTS:
        assert unknown_files((ROOT / name).read_text(encoding="utf-8")) == [], name
    assert unknown_files("see demo/hello.yaml and docs/nowhere.md.") == ["docs/nowhere.md"]


def test_make_help_explains_every_public_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    private = {"demo-data"}
    assert set(HELP.findall(makefile)) == set(TARGET.findall(makefile)) - private
    assert {"demo", "serve", "test", "check", "bench", "sync", "help"} <= set(HELP.findall(makefile))


def test_the_ci_script_is_executable() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_decision_records_are_short_and_have_all_parts() -> None:
    records = sorted((ROOT / "docs" / "adr").glob("*.md"))
    assert [record.name[:4] for record in records] == [f"{number:04}" for number in range(1, len(records) + 1)]
    for record in records:
        text = record.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= ADR_LINES, record.name
        headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        assert headings[1:] == ["Status", "Context", "Decision", "Consequences"], record.name


@pytest.mark.parametrize(("asks", "passes"), [("db", False), ("tmp_path", True)])
def test_a_unit_test_that_asks_for_the_database_fails(tmp_path: Path, asks: str, passes: bool) -> None:
    guard = ROOT / "tests" / "unit" / "conftest.py"
    _ = (tmp_path / "conftest.py").write_text(guard.read_text(encoding="utf-8"), encoding="utf-8")
    _ = (tmp_path / "test_planted.py").write_text(f"def test_planted({asks}): pass\n", encoding="utf-8")
    options = ["-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path), "-q"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    result = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode == 0) is passes, result.stdout + result.stderr
    assert ("may not touch a database" in result.stdout) is not passes
