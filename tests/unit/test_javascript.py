"""The pages' scripts, by Node's own test runner; and how much there is of them."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "executions_app" / "static" / "executions_app"
# Node comes in a wheel, beside this Python.
NODE = Path(sys.executable).parent / "node"
MOST_LINES = 1500
IMPORT = re.compile(r'^import .* from "\./(.+)";$', re.MULTILINE)
# To compare markup is no harm.
DANGEROUS = re.compile(
    r"(inner|outer)HTML\s*\+?=[^=]|insertAdjacentHTML|document\.write|\beval\b|new Function|setAttribute\(\"style"
)
NO_CODE = re.compile(r"\s*(//|/\*|\*|$)")


def test_the_scripts_do_what_their_tests_say() -> None:
    command = [
        str(NODE),
        "--test",
        "--test-reporter=tap",
        *map(str, sorted((ROOT / "tests/javascript").glob("*.test.js"))),
    ]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=50)
    assert result.returncode == 0, result.stdout + result.stderr
    passed = re.search(r"^# pass (\d+)$", result.stdout, re.MULTILINE)
    assert passed is not None
    assert int(passed[1]) > 50


def of_the_page() -> set[Path]:
    """The modules that the page of an execution loads."""
    found: set[Path] = set()
    waiting = [SCRIPTS / "page.js"]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += [SCRIPTS / name for name in IMPORT.findall(path.read_text(encoding="utf-8"))]
    return found


def test_the_page_of_an_execution_needs_less_code_than_a_library() -> None:
    lines = [line for path in of_the_page() for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(lines) > 1000
    assert len([line for line in lines if not NO_CODE.match(line)]) < MOST_LINES


def test_no_script_writes_markup_or_runs_text() -> None:
    found = [
        f"{path.name}:{number}"
        for path in sorted(ROOT.glob("*_app/static/**/*.js"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if DANGEROUS.search(line)
    ]
    assert found == []
    assert DANGEROUS.search("element.innerHTML = text")
    assert not DANGEROUS.search("if (one.innerHTML === other.innerHTML) return;")


def test_no_script_is_longer_than_source_files_may_be() -> None:
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in SCRIPTS.glob("*.js")}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_the_lock_file_names_no_registry() -> None:
    assert "resolved" not in (ROOT / "package-lock.json").read_text(encoding="utf-8")
