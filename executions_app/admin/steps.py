"""What an attempt took, in a line for people."""

from typing import Any

from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _

from workflows_app.templatetags.pastetrader import duration


def with_steps(node: dict[str, Any]) -> dict[str, Any]:
    """A node as `inspection_json` gives it, each attempt with its `steps` as text; empty while it is under way."""
    return {**node, "attempts": [{**attempt, "steps": _told(attempt["measures"])} for attempt in node["attempts"]]}


def _told(measures: dict[str, Any] | None) -> str:
    if measures is None:
        return ""
    told = [
        (_("input prepared in %s"), duration(measures["pre_process_ms"])),
        (_("work %s"), duration(measures["process_ms"])),
        (_("output checked in %s"), duration(measures["post_process_ms"])),
        (_("%s in"), "" if measures["bytes_in"] is None else filesizeformat(measures["bytes_in"])),
        (_("%s out"), "" if measures["bytes_out"] is None else filesizeformat(measures["bytes_out"])),
    ]
    return " · ".join(text % value for text, value in told if value)
