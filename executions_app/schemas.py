"""What requests about runs say, and what the answers say."""

from typing import Any

from workflows_app.rest.shapes import Shown


class ToolShown(Shown):
    """`effects` are those that a node may state instead of `effect`."""

    name: str
    description: str
    effect: str
    effects: list[str]
    isolation: str
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]


class ToolPage(Shown):
    items: list[ToolShown]
    next: str | None
