"""Checks the shape of a document, key by key, and says in sentences what Pydantic finds."""

from collections.abc import Mapping
from typing import Any, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from workflows_app.dag import document as models
from workflows_app.dag.findings import Findings
from workflows_app.dag.problems import ProblemCode
from workflows_app.dag.types import JsonObject, NodeType
from workflows_app.dag.wording import Path, dotted, listed, quoted, shortened, shown

_EXPECTATIONS = {
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
}
_NAME_RULE = "use lower-case letters, digits and hyphens, with a letter or digit at both ends, such as rsi-screen"
_KEY_RULE = "use letters, digits and underscores, and do not begin with a digit"
_TYPES = {str(word): word for word in NodeType}
# Node key -> the types of node that have it.
_OWNERS: dict[str, list[NodeType]] = {}
for _type, _model in models.NODE_MODELS.items():
    for _key in models.keys_of(_model):
        _OWNERS.setdefault(_key, []).append(_type)
# Keys that no node can do without: without them it is no node, rather than a node that is set up badly.
_IDENTITY = frozenset({"key", "type", "from", "to"})


def check_structure(document: JsonObject, findings: Findings) -> None:
    """Report every unknown, missing and malformed key of the document."""
    try:
        _ = models.document_adapter().validate_python(document)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            _report(document, detail, findings)


def _report(document: JsonObject, detail: ErrorDetails, findings: Findings) -> None:
    location = detail["loc"]
    if len(location) == 2 and location[0] == "nodes" and isinstance(detail["input"], dict):
        _report_untyped(cast("JsonObject", detail["input"]), location, findings)
        return
    body: object = None
    if len(location) > 2 and location[0] == "nodes":
        # The third item is the type by which Pydantic chose the model; it is no key of the document.
        body = cast("list[object]", document["nodes"])[cast("int", location[1])]
        location = (*location[:2], *location[3:])
    _describe(location, detail, _model_at(location, body), findings)


def _report_untyped(body: JsonObject, path: Path, findings: Findings) -> None:
    """A node whose type is missing or unknown: say so, and check what every node has."""
    types = list(_TYPES)
    if "type" in body:
        word = body["type"]
        hint = findings.spelling.hint(word, types) if isinstance(word, str) else ""
        message = f"The type of a node must be {listed(types)}, not {shown(word)}.{hint}"
    else:
        message = f"A node needs a 'type': {listed(types)}."
    try:
        _ = models.UntypedNode.model_validate(body)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            _describe((*path, *detail["loc"]), detail, models.UntypedNode, findings)
    findings.add(ProblemCode.INVALID_DOCUMENT, message, (*path, "type"))


def _describe(path: Path, detail: ErrorDetails, model: type[BaseModel], findings: Findings) -> None:
    field = dotted(_below(path) or path)
    value = cast("object", detail["input"])
    kind = detail["type"]
    if kind == "extra_forbidden":
        findings.add(ProblemCode.UNKNOWN_KEY, _unknown_key(path, model, findings), path)
    elif kind == "missing":
        code = ProblemCode.INVALID_DOCUMENT if path[-1] == "key" else _code_of(path)
        findings.add(code, f"{_owner_of(path)} needs {quoted(field)}, which is missing: add it.", path)
    elif kind in ("string_pattern_mismatch", "string_too_long"):
        rule = _NAME_RULE if path == ("name",) else _KEY_RULE
        what = "name of a workflow" if path == ("name",) else "key of a node"
        if kind == "string_too_long":
            rule = f"use at most {models.MAX_NAME_LENGTH} characters"
        findings.add(_code_of(path), f"{quoted(str(value))} cannot be the {what}: {rule}.", path)
    else:
        expectation = _expectation(detail)
        ending = "" if kind == "string_too_short" else f", not {shown(value)}"
        hint = _hint(detail, value, findings)
        findings.add(_code_of(path), f"{quoted(field)} {expectation}{ending}.{hint}", path)


def _expectation(detail: ErrorDetails) -> str:
    context: Mapping[str, Any] = detail.get("ctx", {})
    if detail["type"] == models.EXPECTATION:
        return str(context["expectation"])
    if detail["type"] == "enum":
        return f"must be {str(context['expected']).replace("'", '')}"
    return _EXPECTATIONS.get(detail["type"]) or f"is not as it should be ({shortened(detail['msg'])}): correct it"


def _hint(detail: ErrorDetails, value: object, findings: Findings) -> str:
    if detail["type"] == "tuple_type" and isinstance(value, str):
        return f" Write {shortened(f'[{value}]')}."
    if detail["type"] != "enum" or not isinstance(value, str):
        return ""
    words = str(detail.get("ctx", {})["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
    return findings.spelling.hint(value, words)


def _unknown_key(path: Path, model: type[BaseModel], findings: Findings) -> str:
    key = str(path[-1])
    known = models.keys_of(model)
    if issubclass(model, models.Node):
        word = str(cast("Any", model.model_fields["type"].annotation).__args__[0])
        if key in _OWNERS:
            owners = listed((str(owner) for owner in _OWNERS[key]), last="and")
            return f"{quoted(key)} belongs to {owners} nodes, and this is a node of type {word}: remove it."
    place = _owner_of(path)
    hint = findings.spelling.hint(key, known)
    return f"{place} has no key {quoted(key)}.{hint or f' It may have {listed(known, last="and")}.'}"


# What a node has that has keys of its own and knows them all.
_PARTS: Mapping[str | int, type[BaseModel]] = {
    "position": models.Position,
    "retry": models.Retry,
    "limits": models.AgentLimits,
}


def _model_at(path: Path, body: object) -> type[BaseModel]:
    """The model of the part of the document that holds the last item of a path."""
    section, below = path[0], _below(path)
    if section == "settings" and len(path) > 1:
        return models.Budget if path[1] == "budget" and len(path) > 2 else models.Settings
    if section == "edges" and below:
        return models.Edge
    if section != "nodes" or not isinstance(body, dict):
        return models.Document
    node = models.NODE_MODELS[_TYPES[cast("str", body["type"])]]
    return _PARTS.get(below[0], node) if len(below) > 1 else node


def _below(path: Path) -> Path:
    """The path within a node or an edge; empty for every other place."""
    return path[2:] if path[0] in ("nodes", "edges") else ()


def _owner_of(path: Path) -> str:
    """What the last item of a path belongs to, as the subject of a sentence."""
    within = (_below(path) or path)[:-1]
    if within:
        return quoted(dotted(within))
    if not _below(path):
        return "A workflow document"
    return "A node" if path[0] == "nodes" else "An edge"


def _code_of(path: Path) -> ProblemCode:
    section, below = path[0], _below(path)
    if section == "nodes" and below == ("key",):
        return ProblemCode.INVALID_KEY
    if section == "edges" and below == ("handle",):
        return ProblemCode.INVALID_HANDLE
    if section in ("nodes", "edges"):
        is_part = bool(below) and below[0] not in _IDENTITY
        return ProblemCode.INVALID_CONFIG if is_part else ProblemCode.INVALID_DOCUMENT
    return ProblemCode.INVALID_CONFIG if section == "settings" and len(path) > 1 else ProblemCode.INVALID_DOCUMENT
