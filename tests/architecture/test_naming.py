"""Names say what is inside, and a status is written in one place."""

import ast
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.architecture.source import PACKAGES, name_of, python_files, syntax_tree

SUBJECTLESS = frozenset({"utils", "util", "helpers", "helper", "common", "manager", "misc"})
# The only modules that move an execution or a node from one status to another: by compare-and-set.
STATUS_WRITERS = frozenset({"executions_app/models/ownership.py", "executions_app/models/querysets.py"})
SET_STATUS = re.compile(r"\bUPDATE\b.*\bSET\b(?:(?!\bWHERE\b).)*\bstatus\s*=", re.IGNORECASE | re.DOTALL)


def subjectless(paths: Iterable[Path]) -> list[str]:
    """Modules and packages whose name names no subject."""
    return [
        name_of(path)
        for path in paths
        if SUBJECTLESS & {*path.stem.split("_"), *(part for part in Path(name_of(path)).parent.parts)}
    ]


def status_writes(paths: Iterable[Path]) -> list[str]:
    """Where a row's status is changed: by assignment, by `update(status=...)`, by SQL text."""
    found: list[str] = []
    for path in paths:
        if name_of(path) in STATUS_WRITERS:
            continue
        for node in ast.walk(syntax_tree(path)):
            if _assigns_status(node) or _updates_status(node) or _is_status_sql(node):
                found.append(f"{name_of(path)}:{getattr(node, 'lineno', 0)}")
    return sorted(set(found))


def _assigns_status(node: ast.AST) -> bool:
    match node:
        case ast.Assign(targets=targets):
            pass
        case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
            targets = [target]
        case _:
            return False
    return any(
        # An object may set its own: a row's status is set by somebody else.
        isinstance(target, ast.Attribute) and target.attr == "status" and ast.unparse(target.value) != "self"
        for target in targets
    )


def _updates_status(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"update", "aupdate"}
        and any(keyword.arg == "status" for keyword in node.keywords)
    )


def _is_status_sql(node: ast.AST) -> bool:
    match node:
        case ast.Constant(value=str(text)):
            return SET_STATUS.search(text) is not None
        case ast.JoinedStr(values=values):
            parts = (part.value if isinstance(part, ast.Constant) else "table" for part in values)
            return SET_STATUS.search("".join(str(part) for part in parts)) is not None
        case _:
            return False


def test_every_module_name_names_a_subject() -> None:
    assert subjectless(python_files(*PACKAGES, "benchmarks", "tests")) == []


def test_a_module_without_a_subject_is_found(tmp_path: Path) -> None:
    names = ["utils.py", "run_helpers.py", "graph.py", "management.py"]
    assert subjectless(tmp_path / name for name in names) == ["utils.py", "run_helpers.py"]


def test_only_the_compare_and_set_statements_write_a_status() -> None:
    assert status_writes(python_files("executions_app", "workflows_app", "pastetrader")) == []


def test_the_status_writers_exist_and_write_it() -> None:
    for name in STATUS_WRITERS:
        path = next(path for path in python_files("executions_app") if name_of(path) == name)
        assert any(_is_status_sql(node) for node in ast.walk(syntax_tree(path))), name


@pytest.mark.parametrize(
    "text",
    [
        "execution.status = 'failed'",
        "rows.filter(id=1).update(status='failed')",
        "SQL = 'UPDATE node SET reason = %s, status = %s WHERE id = %s'",
        "SQL = f'''update {TABLE}\n   set status = 'x' where id = 1'''",
    ],
)
def test_a_planted_write_of_a_status_is_found(tmp_path: Path, text: str) -> None:
    path = tmp_path / "planted.py"
    _ = path.write_text(text, encoding="utf-8")
    assert status_writes([path]) == ["planted.py:1"]


@pytest.mark.parametrize(
    "text",
    [
        "found = rows.filter(status='failed')",
        "SQL = 'UPDATE node SET last_seq = 1 WHERE status = %s'",
        "self.status = status",
    ],
)
def test_reading_a_status_is_no_finding(tmp_path: Path, text: str) -> None:
    path = tmp_path / "fine.py"
    _ = path.write_text(text, encoding="utf-8")
    assert status_writes([path]) == []
