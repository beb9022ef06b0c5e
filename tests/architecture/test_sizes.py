"""A file is one noun: at most 400 lines, its functions at most 60."""

import ast
from collections.abc import Iterable
from pathlib import Path

from tests.architecture.source import PACKAGES, ROOT, name_of, python_files, syntax_tree

FILE_LINES = 400
FUNCTION_LINES = 60


def too_long(paths: Iterable[Path]) -> list[str]:
    found: list[str] = []
    for path in paths:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > FILE_LINES:
            found.append(f"{name_of(path)}: {lines} lines")
        for node in ast.walk(syntax_tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                size = (node.end_lineno or node.lineno) - node.lineno + 1
                if size > FUNCTION_LINES:
                    found.append(f"{name_of(path)}: {node.name} has {size} lines")
    return found


def test_no_file_and_no_function_is_too_long() -> None:
    assert too_long([*python_files(*PACKAGES, "benchmarks"), ROOT / "manage.py"]) == []


def test_a_file_of_401_lines_is_found(tmp_path: Path) -> None:
    path = tmp_path / "long.py"
    _ = path.write_text("x = 1\n" * 400, encoding="utf-8")
    assert too_long([path]) == []
    _ = path.write_text("x = 1\n" * 401, encoding="utf-8")
    assert too_long([path]) == ["long.py: 401 lines"]


def test_a_function_of_61_lines_is_found_also_inside_a_class(tmp_path: Path) -> None:
    path = tmp_path / "long.py"
    body = "        x = 1\n"
    _ = path.write_text("class A:\n    def f(self):\n" + body * 59, encoding="utf-8")
    assert too_long([path]) == []
    _ = path.write_text("class A:\n    async def f(self):\n" + body * 60, encoding="utf-8")
    assert too_long([path]) == ["long.py: f has 61 lines"]
