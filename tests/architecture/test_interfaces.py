"""Interfaces find objects through `visible_to` alone, in queries: none of them asks a manager itself."""

import ast
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.architecture.source import ROOT, name_of, python_files, syntax_tree

INTERFACES = ("api", "rest", "web", "admin", "consumers", "mcp")


def interface_files() -> list[Path]:
    return [
        path
        for path in python_files("workflows_app", "executions_app", "pastetrader")
        if {*path.relative_to(ROOT).parts, path.stem} & set(INTERFACES)
    ]


def asked_managers(paths: Iterable[Path]) -> list[str]:
    """Where something is fetched by `.objects`, `_default_manager` or `get_object_or_404`."""
    return [
        f"{name_of(path)}:{node.lineno}"
        for path in paths
        for node in ast.walk(syntax_tree(path))
        if (isinstance(node, ast.Attribute) and node.attr in {"objects", "_default_manager", "_base_manager"})
        or (isinstance(node, ast.Name) and node.id in {"get_object_or_404", "get_list_or_404", "aget_object_or_404"})
    ]


def test_no_interface_asks_a_manager() -> None:
    files = interface_files()
    assert {"workflows_app/api/workflows.py", "executions_app/web/frame.py", "executions_app/mcp/executions.py"} <= {
        name_of(path) for path in files
    }
    assert asked_managers(files) == []


@pytest.mark.parametrize(
    "text",
    ["row = Workflow.objects.get(pk=1)", "row = get_object_or_404(Workflow, pk=1)", "Node._default_manager.all()"],
)
def test_a_planted_query_is_found(tmp_path: Path, text: str) -> None:
    path = tmp_path / "planted.py"
    _ = path.write_text(text, encoding="utf-8")
    assert asked_managers([path]) == ["planted.py:1"]
