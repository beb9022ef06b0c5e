"""How a workflow came to be what it is: its snapshots, what is different between them, and who did what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from workflows_app.dag import jsontext
from workflows_app.dag.agents import GIVEN, collapsed
from workflows_app.dag.plan import effect_of_agent
from workflows_app.dag.problems import errors_of
from workflows_app.dag.types import NodeType
from workflows_app.models import AuditEntry, Workflow
from workflows_app.services.compile import compile_document
from workflows_app.services.documents import Source, document_of, problems_of
from workflows_app.services.toolbox import Toolbox

if TYPE_CHECKING:
    from datetime import datetime

    from workflows_app.dag.types import Effect, JsonObject, JsonValue

# The newest of them.
VERSIONS_SHOWN = 200
DEEDS_SHOWN = 200
# The key of what a workflow is now.
PRESENT = "present"


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A snapshot by its key; without `created_at` it is the present definition, of which there is none yet."""

    key: str
    number: int | None
    created_at: datetime | None = None


def versions_of(workflow: Workflow) -> Sequence[Version]:
    """The newest first. There is a snapshot of what was run, and of no other version."""
    rows = workflow.versions.order_by("-number", "-created_at").values_list("pk", "number", "created_at")
    found = [Version(key=str(key), number=number, created_at=at) for key, number, at in rows[:VERSIONS_SHOWN]]
    if found and found[0].number == workflow.version:
        return found
    return [Version(key=PRESENT, number=workflow.version), *found]


def content_of(workflow: Workflow, version: Version) -> JsonObject:
    """What a version says, with every default left out and the effect of every tool stated.

    With all that its agents of the site gave, and without what its tools of the site were configured with, which is
    not for everybody who reads a workflow.
    """
    return _content(workflow, version, GIVEN)


def _content(workflow: Workflow, version: Version, *more: str) -> JsonObject:
    """`content_of` but for these keys of its nodes."""
    if version.key != PRESENT:
        text = workflow.versions.values_list("plan", flat=True).get(pk=version.key)
    else:
        document, tools = document_of(workflow), Toolbox()
        if errors_of(problems_of(Source(document=document, line_of=lambda _path: None), tools)):
            # It cannot be compiled: as it was written.
            return document
        text = compile_document(document, tools).to_json()
    content = cast("JsonObject", jsontext.loads(text))
    hidden = ("configured", "offered", "secrets", *more)
    nodes = [_without(node, *hidden) for node in cast("list[JsonObject]", content["nodes"])]
    return {**content, "nodes": cast("JsonValue", nodes)}


def document_from(workflow: Workflow, version: Version) -> JsonObject:
    """A document that says what a version says: without the effects that its tools have by themselves.

    It names its agents of the site: a version that is restored gets them as they are.
    """
    content, tools = _content(workflow, version), Toolbox()
    nodes = [collapsed(_as_written(node, tools)) for node in cast("list[JsonObject]", content["nodes"])]
    return {**content, "nodes": cast("JsonValue", nodes)}


def _as_written(node: JsonObject, tools: Toolbox) -> JsonObject:
    own = _own_effect(node, tools)
    return _without(node, "effect") if own is not None and node.get("effect") == own else node


def _own_effect(node: JsonObject, tools: Toolbox) -> Effect | None:
    """The effect that a node has by its tools where it states none; None where there are none."""
    if node["type"] == NodeType.AGENT:
        offered = cast("list[str]", node.get("tools") or [])
        return effect_of_agent(tools.effect_of(name, None) for name in offered if name in tools)
    name = node.get("tool")
    return tools.effect_of(name, node.get("inputs")) if isinstance(name, str) and name in tools else None


def _without(node: JsonObject, *keys: str) -> JsonObject:
    return {name: value for name, value in node.items() if name not in keys}


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """Something that was done to a workflow, as the audit has it."""

    at: datetime
    actor: str
    verb: str
    data: Mapping[str, object]


def deeds_of(workflow: Workflow) -> Sequence[Deed]:
    """What its users did to it, the latest first."""
    rows = AuditEntry.objects.filter(
        object_type="workflow", object_id=str(workflow.pk), verb__startswith="workflow."
    ).order_by("-id")
    shown = rows.values_list("at", "actor_name", "verb", "data")[:DEEDS_SHOWN]
    return [Deed(at=at, actor=actor, verb=verb, data=data) for at, actor, verb, data in shown]
