"""A schema of an input as fields to fill in."""

from decimal import Decimal

import pytest

from workflows_app.dag.input_fields import InputField, Kind, defaults, input_fields, without_default

SCHEMA = {
    "type": "object",
    "required": ["symbol", "period"],
    "properties": {
        "symbol": {"type": "string", "title": "Share", "description": "Its ticker", "minLength": 1, "maxLength": 5},
        "period": {"type": "integer", "default": 14, "minimum": 2},
        "limit": {"type": ["null", "number"], "default": None},
    },
}


def only(part, **more):
    (field,) = input_fields({"properties": {"x": part}, **more})
    return field


def test_properties_are_fields_in_their_order_with_all_that_the_schema_says():
    assert input_fields(SCHEMA) == [
        InputField(
            name="symbol",
            kind=Kind.TEXT,
            title="Share",
            description="Its ticker",
            is_required=True,
            bounds=(("minLength", 1), ("maxLength", 5)),
        ),
        InputField(
            name="period",
            kind=Kind.INTEGER,
            is_required=True,
            has_default=True,
            default=14,
            bounds=(("minimum", 2),),
        ),
        InputField(name="limit", kind=Kind.NUMBER, has_default=True),
    ]


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ({"type": "string"}, Kind.TEXT),
        ({"type": "string", "format": "date"}, Kind.DATE),
        ({"type": "string", "format": "email"}, Kind.TEXT),
        ({"type": "number"}, Kind.NUMBER),
        ({"type": "number", "format": "date"}, Kind.NUMBER),
        ({"type": "boolean"}, Kind.BOOLEAN),
        ({"type": "array"}, Kind.JSON),
        ({"type": "object"}, Kind.JSON),
        ({"type": ["string", "number"]}, Kind.JSON),
        ({"type": "null"}, Kind.JSON),
        ({"type": ["null"]}, Kind.JSON),
        ({"enum": [1, "a"]}, Kind.CHOICE),
        ({"const": Decimal("1.50")}, Kind.CHOICE),
        ({}, Kind.JSON),
        (True, Kind.JSON),
    ],
)
def test_the_kind_follows_the_type(part, kind):
    assert only(part).kind == kind


def test_choices_are_the_values_themselves():
    assert only({"enum": [1, "a", None]}).choices == [1, "a", None]
    assert only({"const": Decimal("1.50")}).choices == [Decimal("1.50")]


def test_a_reference_is_followed_and_the_property_has_the_last_word():
    definitions = {"$defs": {"Share": {"type": "string", "title": "Share", "description": "any"}}}
    field = only({"$ref": "#/$defs/Share", "title": "Own"}, **definitions)
    assert (field.kind, field.title, field.description) == (Kind.TEXT, "Own", "any")
    assert only({"$ref": "#/$defs/Nothing"}, **definitions).kind == Kind.JSON
    assert only({"$ref": "#anchor"}).kind == Kind.JSON


@pytest.mark.parametrize("schema", [None, True, {}, {"type": "object"}])
def test_a_schema_without_properties_has_no_fields(schema):
    assert input_fields(schema) == []


def test_a_title_that_is_no_text_is_none():
    assert only({"title": 1}).title == ""


def test_defaults_are_what_can_be_sent_without_asking_anybody():
    assert defaults(input_fields(SCHEMA)) == {"period": 14, "limit": None}
    assert without_default(input_fields(SCHEMA)) == ["symbol"]
