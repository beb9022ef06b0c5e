"""The pure packages load no web framework, read no clock and draw no random numbers."""

import ast
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.architecture.source import (
    PURE_PACKAGES,
    ROOT,
    imported_modules,
    module_of,
    name_of,
    pure_files,
    python_files,
    syntax_tree,
)

FRAMEWORKS = frozenset({"django", "channels", "ninja", "asgiref"})
# Time comes from the event loop, ids and chance through ports: a run can be simulated and repeated exactly.
CLOCKS = frozenset(
    {
        "time.time",
        "time.time_ns",
        "datetime.datetime.now",
        "datetime.datetime.today",
        "datetime.datetime.utcnow",
        "datetime.date.today",
        "os.urandom",
        *(f"uuid.uuid{version}" for version in range(1, 9)),
    }
)
CHANCE = frozenset({"random", "secrets", "uuid_utils"})
# The fakes that are shipped for tests draw jitter from a seed.
MAY_DRAW = frozenset({"executions_app/engine/testing.py"})

LOADED = """
import importlib, sys
for name in sys.argv[2:]:
    importlib.import_module(name)
print(*sorted({name.partition(".")[0] for name in sys.modules} & set(sys.argv[1].split(","))))
"""


def frameworks_loaded_by(modules: Iterable[str], folder: Path = ROOT) -> str:
    """The frameworks that a fresh interpreter has loaded after importing these modules, separated by spaces."""
    command = [sys.executable, "-c", LOADED, ",".join(FRAMEWORKS), *modules]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def impure_uses(paths: Iterable[Path]) -> list[str]:
    """Where these files import a source of chance or use a clock, under whatever name they import it."""
    found: list[str] = []
    for path in paths:
        tree = syntax_tree(path)
        full_names = _full_names(tree)
        for line, module in imported_modules(tree):
            drawn = module.partition(".")[0] in CHANCE and name_of(path) not in MAY_DRAW
            if drawn or module in CLOCKS:
                found.append(f"{name_of(path)}:{line} imports {module}")
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                name, _, rest = ast.unparse(node).partition(".")
                full = f"{full_names.get(name, name)}.{rest}"
                if full in CLOCKS:
                    found.append(f"{name_of(path)}:{node.lineno} uses {full}")
    return found


def _full_names(tree: ast.AST) -> dict[str, str]:
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_importing_all_pure_modules_loads_no_framework() -> None:
    assert frameworks_loaded_by(module_of(path) for path in pure_files()) == ""


def test_importing_the_engine_alone_loads_no_framework() -> None:
    assert frameworks_loaded_by(["executions_app.engine.run"]) == ""


def test_a_planted_framework_is_seen(tmp_path: Path) -> None:
    _ = (tmp_path / "planted.py").write_text("def f():\n    import asgiref.sync\nf()\n", encoding="utf-8")
    assert frameworks_loaded_by(["planted"], tmp_path) == "asgiref"


def test_the_pure_packages_use_no_clock_and_no_chance() -> None:
    files = pure_files()
    assert {module_of(path.parent / "__init__.py") for path in files} >= set(PURE_PACKAGES)
    assert impure_uses(files) == []


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("import time\nx = time.time()", "planted.py:2 uses time.time"),
        ("import time as t\nx = t.time_ns()", "planted.py:2 uses time.time_ns"),
        ("from time import time", "planted.py:1 imports time.time"),
        ("from datetime import UTC, datetime\nx = datetime.now(UTC)", "planted.py:2 uses datetime.datetime.now"),
        ("import datetime as d\nx = d.date.today()", "planted.py:2 uses datetime.date.today"),
        ("import uuid\nx = uuid.uuid4()", "planted.py:2 uses uuid.uuid4"),
        ("def f():\n    from random import random", "planted.py:2 imports random.random"),
    ],
)
def test_a_planted_clock_or_chance_is_found(tmp_path: Path, text: str, finding: str) -> None:
    path = tmp_path / "planted.py"
    _ = path.write_text(text, encoding="utf-8")
    assert impure_uses([path]) == [finding]


def test_the_time_of_the_loop_and_a_port_called_random_are_no_finding(tmp_path: Path) -> None:
    path = tmp_path / "fine.py"
    _ = path.write_text(
        "import asyncio\nfrom datetime import datetime\nfrom uuid import UUID\n"
        "def f(ports):\n    return asyncio.get_running_loop().time(), ports.random(), ports.clock.now()\n",
        encoding="utf-8",
    )
    assert impure_uses([path]) == []


def framework_imports(paths: Iterable[Path]) -> list[str]:
    return [
        f"{name_of(path)}:{line} imports {module}"
        for path in paths
        for line, module in imported_modules(syntax_tree(path))
        if module.partition(".")[0] in FRAMEWORKS
    ]


def test_no_unit_test_imports_a_framework() -> None:
    assert framework_imports(python_files("tests/unit")) == []


def test_a_unit_test_that_imports_django_is_found(tmp_path: Path) -> None:
    path = tmp_path / "test_planted.py"
    _ = path.write_text("def test_it():\n    from django.conf import settings\n", encoding="utf-8")
    assert framework_imports([path]) == ["test_planted.py:2 imports django.conf.settings"]
