"""Imports go down only, and every module has a place (the contracts stand in pyproject.toml)."""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.architecture.source import PACKAGES, ROOT, module_of, python_files

CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
LINT = (
    "import sys; from importlinter.cli import lint_imports;"
    "sys.exit(lint_imports(config_filename='pyproject.toml', no_cache=True))"
)


def layers() -> list[str]:
    rows = next(contract["layers"] for contract in CONTRACTS if contract["type"] == "layers")
    return [layer.strip().strip("()") for row in rows for layer in row.split("|")]


def outside_every_layer(modules: Iterable[str]) -> list[str]:
    """The modules that are in no layer; the packages themselves hold no code and need none."""
    known = layers()
    return [
        module
        for module in modules
        if module not in PACKAGES and not any(f"{module}.".startswith(f"{layer}.") for layer in known)
    ]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    # Wide enough that no name of a contract is broken into two lines.
    wide = {**os.environ, "COLUMNS": "200"}
    command = [sys.executable, "-c", LINT]
    return subprocess.run(command, cwd=folder, env=wide, capture_output=True, text=True, check=False)


def skeleton(folder: Path) -> Path:
    """A project with an empty module for every name of the contracts, under the contracts of this one."""
    _ = shutil.copy(ROOT / "pyproject.toml", folder)
    for module in {*layers(), "executions_app.engine.run"}:
        place = folder.joinpath(*module.split("."))
        place.mkdir(parents=True, exist_ok=True)
        for package in (place, *place.parents):
            if package == folder:
                break
            (package / "__init__.py").touch()
    return folder


def test_every_import_contract_holds() -> None:
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_module_is_in_a_layer() -> None:
    assert outside_every_layer(module_of(path) for path in python_files(*PACKAGES)) == []


def test_a_module_outside_every_layer_is_found() -> None:
    modules = ["workflows_app", "workflows_app.dag.graph", "workflows_app.dagger", "executions_app.extra.thing"]
    assert outside_every_layer(modules) == ["workflows_app.dagger", "executions_app.extra.thing"]


def test_the_packages_themselves_hold_no_code() -> None:
    for package in PACKAGES:
        text = (ROOT / package / "__init__.py").read_text(encoding="utf-8")
        assert text.count('"""') == 2, package
        assert text.strip().endswith('"""'), package


def test_the_skeleton_keeps_all_contracts(tmp_path: Path) -> None:
    result = lint(skeleton(tmp_path))
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{len(CONTRACTS)} kept, 0 broken" in result.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("workflows_app.models", "import executions_app.models", "Layers"),
        ("executions_app.recorder", "from executions_app.services import start", "Layers"),
        ("workflows_app.dag", "import workflows_app.tools", "Layers"),
        ("pastetrader.settings", "import workflows_app.dag", "Layers"),
        ("workflows_app.tools", "import django.db", "plain asyncio"),
        ("executions_app.engine", "from asgiref.sync import sync_to_async", "plain asyncio"),
        ("executions_app.dispatch", "import channels.layers", "channel layer"),
        ("executions_app.services", "from pastetrader import settings", "Apps never import"),
        ("executions_app.management", "import executions_app.recorder", "Interfaces write through services"),
    ],
)
def test_a_planted_import_breaks_its_contract(tmp_path: Path, module: str, line: str, contract: str) -> None:
    _ = skeleton(tmp_path).joinpath(*module.split("."), "__init__.py").write_text(f"{line}\n", encoding="utf-8")
    result = lint(tmp_path)
    assert result.returncode == 1, result.stdout + result.stderr
    assert any(contract in row and row.endswith("BROKEN") for row in result.stdout.splitlines()), result.stdout
