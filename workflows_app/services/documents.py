"""Documents in and out: text to a checked document, a document to rows, rows to the same document."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from workflows_app.conf import workflow_settings
from workflows_app.dag import jsontext, validation, yamltext
from workflows_app.dag.jsonplaces import line_finder
from workflows_app.dag.problems import Problem, ProblemCode, errors_of
from workflows_app.dag.types import Handle, JsonObject, JsonValue
from workflows_app.models import Edge, Node, Workflow
from workflows_app.services.errors import InvalidDefinition
from workflows_app.services.toolbox import Toolbox

type LineOf = Callable[[Sequence[str | int]], int | None]


class Format(StrEnum):
    YAML = "yaml"
    JSON = "json"


class Saved(StrEnum):
    CREATED = "created"
    UPDATED = "updated"
    # The content was identical: nothing changed, not even the version.
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A document as it was read, with the line of each of its values."""

    document: JsonValue
    line_of: LineOf


def read(text: str, form: Format | None = None) -> Source:
    """Parse a document's text; without `form`, text that begins with a brace is JSON, all else YAML.

    Raises `InvalidDefinition` where the text is neither.
    """
    if form is None:
        form = Format.JSON if text.lstrip("\ufeff \t\r\n").startswith("{") else Format.YAML
    if form is Format.YAML:
        try:
            loaded = yamltext.load(text)
        except yamltext.YamlError as error:
            raise _unreadable(f"This is not the YAML of a document: {error}", error.line) from error
        return Source(document=loaded.value, line_of=loaded.line_of)
    try:
        document = jsontext.loads(text)
        twice = _repeated_key(text)
    except jsontext.JsonError as error:
        raise _unreadable(f"This is not JSON: {error}") from error
    if twice is not None:
        raise _unreadable(f"The key '{twice}' stands twice in one object: remove one of them.")
    return Source(document=document, line_of=line_finder(text))


def submitted(text: str | bytes) -> Source:
    """`read` for what somebody sends in a form: UTF-8, within the limits of the site, with any ends of lines.

    Raises `InvalidDefinition`.
    """
    settings = workflow_settings()
    size = len(text) if isinstance(text, bytes) else len(text.encode("utf-8", "surrogatepass"))
    if size > settings.document_bytes:
        raise _unreadable(f"The document has {size} bytes, and no more than {settings.document_bytes} are taken.")
    try:
        decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise _unreadable("This is no UTF-8 text: save the file as UTF-8.", line) from error
    source = read(decoded.replace("\r\n", "\n"))
    # The codec itself reads no more than its own limit.
    if settings.json_depth < jsontext.MAX_DEPTH and jsontext.is_deeper(source.document, settings.json_depth):
        raise _unreadable(f"The document is nested deeper than {settings.json_depth} levels: make it flatter.")
    return source


def problems_of(source: Source, tools: Toolbox | None = None) -> list[Problem]:
    """Everything that is wrong with a document, given the tools of this process, and tools and agents of the site."""
    tools, sizes = Toolbox() if tools is None else tools, workflow_settings().sizes
    return validation.validate(source.document, tools, line_of=source.line_of, sizes=sizes, agents=tools.agents)


def checked(source: Source, tools: Toolbox | None = None) -> JsonObject:
    """The document, if it may run. Raises `InvalidDefinition` with all problems otherwise."""
    problems = problems_of(source, tools)
    if errors_of(problems):
        raise InvalidDefinition(problems)
    return cast(JsonObject, source.document)


def save(source: Source, owner: AbstractBaseUser) -> tuple[Workflow, Saved]:
    """Create the owner's workflow of the document's name, or replace it; all or nothing.

    Raises `InvalidDefinition`; then nothing is saved.
    """
    document = checked(source)
    with transaction.atomic():
        workflow = Workflow.objects.select_for_update().filter(owner=owner, name=document["name"]).first()
        if workflow is None:
            workflow, saved = Workflow(owner=cast(Any, owner), name=cast(str, document["name"])), Saved.CREATED
        elif jsontext.dumps(document_of(workflow)) == jsontext.dumps(document):
            return workflow, Saved.UNCHANGED
        else:
            saved = Saved.UPDATED
            workflow.version += 1
        write(workflow, document)
    return workflow, saved


def document_of(workflow: Workflow) -> JsonObject:
    """The document that was imported, with its keys in their order."""
    document = dict(workflow.head)
    document["nodes"] = [node.definition for node in workflow.nodes.order_by("order")]
    document["edges"] = [edge.definition for edge in workflow.edges.order_by("order")]
    return document


def export(workflow: Workflow, form: Format) -> str:
    document = document_of(workflow)
    return yamltext.dump(document) if form is Format.YAML else jsontext.pretty(document) + "\n"


def write(workflow: Workflow, document: JsonObject) -> None:
    """Save a workflow with this document, in the place of the one that it had."""
    if not workflow._state.adding:
        _ = workflow.edges.all().delete()
        _ = workflow.nodes.all().delete()
    workflow.head = {key: [] if key in ("nodes", "edges") else value for key, value in document.items()}
    workflow.description = cast(str, document.get("description", ""))
    workflow.labels = cast("list[str]", document.get("labels", []))
    workflow.problems = []
    workflow.save()
    nodes = {
        cast(str, definition["key"]): Node(
            workflow=workflow,
            order=order,
            key=definition["key"],
            type=definition["type"],
            definition=definition,
        )
        for order, definition in enumerate(cast(list[JsonObject], document["nodes"]))
    }
    _ = Node.objects.bulk_create(nodes.values(), batch_size=1000)
    _ = Edge.objects.bulk_create(
        (
            Edge(
                workflow=workflow,
                order=order,
                source=nodes[cast(str, definition["from"])],
                target=nodes[cast(str, definition["to"])],
                handle=definition.get("handle", Handle.OUT),
                definition=definition,
            )
            for order, definition in enumerate(cast(list[JsonObject], document["edges"]))
        ),
        batch_size=1000,
    )


def _unreadable(sentence: str, line: int | None = None) -> InvalidDefinition:
    return InvalidDefinition([Problem(code=ProblemCode.INVALID_DOCUMENT, message=sentence, line=line)])


def _repeated_key(text: str) -> str | None:
    """The first key that an object of this JSON text has twice: the codec would keep only the last."""
    repeated: list[str] = []

    def pairs(items: list[tuple[str, object]]) -> None:
        keys = [key for key, _ in items]
        if len(set(keys)) < len(keys):
            repeated.append(next(key for key in keys if keys.count(key) > 1))

    # Numbers are skipped as text: only keys matter here.
    json.loads(text, object_pairs_hook=pairs, parse_float=str, parse_int=str)
    return repeated[0] if repeated else None
