"""The table of keywords against jsonschema's metaschema, and what is refused beyond it."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, SchemaError

from workflows_app.dag.schema_syntax import defect

SCALARS = st.none() | st.booleans() | st.integers(-2, 3) | st.sampled_from(["", "a", "object", "integer", "1 2"])
KEYWORDS = st.sampled_from(
    """type required dependentRequired dependencies multipleOf enum examples const default $anchor $vocabulary $comment
    title description format minimum maximum exclusiveMinimum exclusiveMaximum minLength maxLength minItems maxItems
    minContains maxContains minProperties maxProperties uniqueItems deprecated readOnly writeOnly additionalProperties
    contains contentSchema contentEncoding if then else items not propertyNames unevaluatedItems unevaluatedProperties
    allOf anyOf oneOf prefixItems $defs definitions dependentSchemas properties unknown""".split()
)
VALUES = st.recursive(
    SCALARS | st.lists(st.sampled_from(["string", "null", "a"]), max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(KEYWORDS, inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2)
    ),
    max_leaves=6,
)


def is_valid_by_metaschema(schema) -> bool:
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError:
        return False
    return True


@settings(max_examples=500)
@given(st.dictionaries(KEYWORDS, VALUES, max_size=3) | SCALARS)
def test_a_schema_is_accepted_if_and_only_if_the_metaschema_accepts_it(schema):
    assert (defect(schema) is None) == is_valid_by_metaschema(schema), schema


@pytest.mark.parametrize(
    ("schema", "part"),
    [
        ({"properties": {"a": {"type": "strin"}}}, "at 'properties.a.type' there must be one or more of null"),
        ({"$ref": "https://example.org/other.json"}, "is outside this schema"),
        ({"items": {"$ref": "#/$defs/row"}}, "at 'items.$ref' nothing is at '#/$defs/row'"),
        ({"uniqueItems": 1}, "at 'uniqueItems' there must be true or false, not 1"),
        ({"minimum": "1"}, "at 'minimum' there must be a number, not the text '1'"),
        ({"minLength": -1}, "at 'minLength' there must be a whole number of 0 or more, not -1"),
        ({"multipleOf": 0}, "at 'multipleOf' there must be a number greater than 0, not 0"),
        ({"required": "a"}, "at 'required' there must be a list of different names, not the text 'a'"),
        ({"required": ["a", "a"]}, "at 'required' there must be a list of different names, not a list"),
        ({"type": []}, "at 'type' there must be one or more of null"),
        ({"dependentRequired": {"a": 5}}, "there must be a mapping of lists of different names"),
        ({"dependencies": {"a": 5}}, "there must be a mapping of schemas or lists of names"),
        ({"$vocabulary": {"a": 1}}, "there must be a mapping to true or false"),
        ({"$ref": "#row"}, "at '$ref' nothing is at '#row'"),
        ({"$id": "https://example.org/a#b"}, "at '$id' there must be an address without a fragment"),
        ({"pattern": "a" * 1025}, "is no valid regular expression: it has more than 1024 characters"),
        ({"pattern": "(a"}, "'(a' is no valid regular expression"),
        ({"patternProperties": {"[": {}}}, "'[' is no valid regular expression"),
        ([], "a schema must be a mapping"),
    ],
)
def test_a_defect_says_where_and_what(schema, part):
    assert part in (defect(schema) or "")


@pytest.mark.parametrize(
    "schema",
    [
        True,
        {},
        {"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "string"}}},
        {"$ref": "#row", "$defs": {"r": {"$anchor": "row"}}},
        {"$ref": "#/allOf/1", "allOf": [True, {}]},
        {"properties": {"$ref": {"type": "string"}, "pattern": {"type": "string"}}},
        {"const": {"$ref": "https://example.org", "type": 5}},
        {"$id": "https://example.org/a#", "type": "object"},
        {"minimum": Decimal("0.5"), "multipleOf": Decimal("0.01")},
    ],
)
def test_a_usable_schema_has_no_defect(schema):
    assert defect(schema) is None


def test_a_schema_that_is_nested_too_deeply_is_refused():
    schema: dict = {}
    for _ in range(150):
        schema = {"not": schema}
    assert "nested" in (defect(schema) or "")
