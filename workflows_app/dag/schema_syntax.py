"""Whether a value is a JSON Schema (2020-12) that can be used here: keyword by keyword, and nothing remote.

A definition may hold a schema for each of 100 000 nodes, and checking one against the metaschema takes
milliseconds. This table says the same (the tests hold them against each other) in microseconds.
"""

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from urllib.parse import unquote

from workflows_app.dag.patterns import PatternError, matcher
from workflows_app.dag.types import JsonObject, JsonValue
from workflows_app.dag.wording import Path, dotted, quoted, shown

_TYPES = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})
# Where schemas are inside a schema: under the key itself, in its list, in its mapping.
_ONE = frozenset(
    """additionalProperties contains contentSchema else if items not propertyNames then unevaluatedItems
    unevaluatedProperties""".split()
)
_LIST = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_MAPPING = frozenset({"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"})
# What jsonschema, which recurses, can follow.
_MAX_DEPTH = 64
_ANCHOR = re.compile(r"[A-Za-z_][-A-Za-z0-9._]*")


def defect(schema: JsonValue) -> str | None:
    """What keeps a value from being a usable schema, as a phrase; none if it is one."""
    if isinstance(schema, bool):
        return None
    if not isinstance(schema, dict):
        return f"a schema must be a mapping, not {shown(schema)}"
    parts = list(_parts(schema))
    if any(len(path) > _MAX_DEPTH for path, _ in parts):
        return f"it is nested more than {_MAX_DEPTH} levels deep"
    for path, part in parts:
        for keyword, value in part.items():
            rule = _RULES.get(keyword)
            if rule is not None and not rule[0](value):
                return _at((*path, keyword), f"there must be {rule[1]}, not {shown(value)}")
    for path, part in parts:
        if (wrong := _wrong_pattern(part)) is not None:
            keyword, pattern, reason = wrong
            return _at((*path, keyword), f"{quoted(pattern)} is no valid regular expression: {reason}")
    return _wrong_reference(schema, parts)


def resolve(root: JsonObject, reference: str) -> JsonObject | bool | None:
    """The schema at a JSON pointer (`#/$defs/Row`); none where nothing is, or where the reference is no pointer."""
    if reference != "#" and not reference.startswith("#/"):
        return None
    found: JsonValue = root
    for step in unquote(reference[1:]).split("/")[1:]:
        found = _below(found, step.replace("~1", "/").replace("~0", "~"))
    return found if isinstance(found, dict | bool) else None


def _below(value: JsonValue, name: str) -> JsonValue:
    if isinstance(value, dict):
        return value.get(name)
    if isinstance(value, list) and name.isascii() and name.isdigit() and int(name[:9]) < len(value):
        return value[int(name[:9])]
    return None


def _wrong_reference(schema: JsonObject, parts: list[tuple[Path, JsonObject]]) -> str | None:
    anchors = {
        anchor
        for _, part in parts
        for keyword in ("$anchor", "$dynamicAnchor")
        if isinstance(anchor := part.get(keyword), str)
    }
    # An inner $id moves the root of the pointers below it: they are left to the run.
    has_ids = any("$id" in part for path, part in parts if path)
    for path, part in parts:
        for keyword in ("$ref", "$dynamicRef"):
            target = part.get(keyword)
            if not isinstance(target, str):
                continue
            if not target.startswith("#"):
                return _at((*path, keyword), f"{quoted(target)} is outside this schema, and only '#...' can be used")
            if not (has_ids or target[1:] in anchors or resolve(schema, target) is not None):
                return _at((*path, keyword), f"nothing is at {quoted(target)}")
    return None


def _parts(schema: JsonObject) -> Iterator[tuple[Path, JsonObject]]:
    """The schema and all schemas inside it, each with its path."""
    stack: list[tuple[Path, JsonValue]] = [((), schema)]
    while stack:
        path, part = stack.pop()
        if not isinstance(part, dict):
            continue
        yield path, part
        for key, value in part.items():
            if key in _ONE:
                stack.append(((*path, key), value))
            elif key in _LIST and isinstance(value, list):
                stack += [((*path, key, position), item) for position, item in enumerate(value)]
            elif (key in _MAPPING or key == "dependencies") and isinstance(value, dict):
                stack += [((*path, key, name), item) for name, item in value.items()]


def _wrong_pattern(schema: JsonObject) -> tuple[str, str, str] | None:
    """Keyword, text and reason of the first regular expression that cannot be used."""
    candidates: list[tuple[str, str]] = []
    if isinstance(pattern := schema.get("pattern"), str):
        candidates.append(("pattern", pattern))
    if isinstance(properties := schema.get("patternProperties"), dict):
        candidates += [("patternProperties", name) for name in properties]
    for keyword, pattern in candidates:
        try:
            _ = matcher(pattern)
        except PatternError as error:
            return keyword, pattern, str(error)
    return None


def _at(path: Path, message: str) -> str:
    return f"at {quoted(dotted(path))} {message}"


def _is_text(value: JsonValue) -> bool:
    return isinstance(value, str)


def _is_flag(value: JsonValue) -> bool:
    return isinstance(value, bool)


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _is_count(value: JsonValue) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_factor(value: JsonValue) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool) and value > 0


def _is_list(value: JsonValue) -> bool:
    return isinstance(value, list)


def _is_names(value: JsonValue) -> bool:
    if not isinstance(value, list):
        return False
    names = [name for name in value if isinstance(name, str)]
    return len(names) == len(value) == len(set(names))


def _is_type(value: JsonValue) -> bool:
    if isinstance(value, str):
        return value in _TYPES
    return isinstance(value, list) and bool(value) and _is_names(value) and all(word in _TYPES for word in value)


def _is_schema(value: JsonValue) -> bool:
    return isinstance(value, dict | bool)


def _is_schema_list(value: JsonValue) -> bool:
    return isinstance(value, list) and bool(value) and all(_is_schema(item) for item in value)


def _is_schema_mapping(value: JsonValue) -> bool:
    return isinstance(value, dict) and all(_is_schema(item) for item in value.values())


def _is_names_mapping(value: JsonValue) -> bool:
    return isinstance(value, dict) and all(_is_names(item) for item in value.values())


def _is_dependencies(value: JsonValue) -> bool:
    return isinstance(value, dict) and all(_is_schema(item) or _is_names(item) for item in value.values())


def _is_anchor(value: JsonValue) -> bool:
    return isinstance(value, str) and _ANCHOR.fullmatch(value) is not None


def _is_id(value: JsonValue) -> bool:
    return isinstance(value, str) and "#" not in value[:-1]


def _is_vocabulary(value: JsonValue) -> bool:
    return isinstance(value, dict) and all(isinstance(item, bool) for item in value.values())


type _Rule = tuple[Callable[[JsonValue], bool], str]

_RULES: dict[str, _Rule] = {
    "type": (_is_type, "one or more of null, boolean, integer, number, string, array and object"),
    "required": (_is_names, "a list of different names"),
    "dependentRequired": (_is_names_mapping, "a mapping of lists of different names"),
    "dependencies": (_is_dependencies, "a mapping of schemas or lists of names"),
    "multipleOf": (_is_factor, "a number greater than 0"),
    "enum": (_is_list, "a list"),
    "examples": (_is_list, "a list"),
    "$id": (_is_id, "an address without a fragment"),
    "$vocabulary": (_is_vocabulary, "a mapping to true or false"),
    **dict.fromkeys(("$anchor", "$dynamicAnchor", "$recursiveAnchor"), (_is_anchor, "a name")),
    **dict.fromkeys(
        """$schema $ref $dynamicRef $recursiveRef $comment title description pattern format contentEncoding
        contentMediaType""".split(),
        (_is_text, "text"),
    ),
    **dict.fromkeys("minimum maximum exclusiveMinimum exclusiveMaximum".split(), (_is_number, "a number")),
    **dict.fromkeys(
        "minLength maxLength minItems maxItems minContains maxContains minProperties maxProperties".split(),
        (_is_count, "a whole number of 0 or more"),
    ),
    **dict.fromkeys("uniqueItems deprecated readOnly writeOnly".split(), (_is_flag, "true or false")),
    **dict.fromkeys(sorted(_ONE), (_is_schema, "a schema")),
    **dict.fromkeys(sorted(_LIST), (_is_schema_list, "a list of schemas")),
    **dict.fromkeys(sorted(_MAPPING), (_is_schema_mapping, "a mapping of schemas")),
}
