"""The source tree as the checks of this folder see it."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("pastetrader", "workflows_app", "executions_app")
PURE_PACKAGES = ("workflows_app.dag", "workflows_app.processors", "workflows_app.tools", "executions_app.engine")


def python_files(*folders: str) -> list[Path]:
    """The Python files below these folders of the repository, in order, without migrations."""
    return sorted(
        path for folder in folders for path in (ROOT / folder).rglob("*.py") if "migrations" not in path.parts
    )


def pure_files() -> list[Path]:
    return python_files(*(package.replace(".", "/") for package in PURE_PACKAGES))


def name_of(path: Path) -> str:
    """The path as it stands in a finding: below the repository where it is there."""
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path.name)


def module_of(path: Path, root: Path = ROOT) -> str:
    """`a/b/__init__.py` is `a.b`, `a/b.py` too."""
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def syntax_tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imported_modules(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything that is imported, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
