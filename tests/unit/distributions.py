"""Distributions that are installed in a folder: modules, and what pip writes beside them."""

from pathlib import Path
from textwrap import dedent


def install(folder: Path, name: str, *, version: str = "1.0", entry_points: str, **modules: str) -> None:
    """Put a distribution with these entry points and modules into a folder of the path."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    _ = (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    _ = (info / "entry_points.txt").write_text(dedent(entry_points), encoding="utf-8")
    for module, text in modules.items():
        _ = (folder / f"{module}.py").write_text(dedent(text), encoding="utf-8")
