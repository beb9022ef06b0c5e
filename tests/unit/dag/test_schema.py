"""JSON Schema over canonical values: exact numbers, patterns in linear time, nothing from outside."""

from decimal import Decimal

import pytest
from referencing.exceptions import Unresolvable

from workflows_app.dag import schema


@pytest.mark.parametrize(
    ("given", "value", "fits"),
    [
        ({"type": "integer"}, 5, True),
        ({"type": "integer"}, Decimal("5.0"), True),
        ({"type": "integer"}, Decimal("5.5"), False),
        ({"type": "integer"}, True, False),
        ({"type": "number"}, Decimal("1234567890123456789.123456789"), True),
        ({"type": "number", "maximum": Decimal("0.3")}, Decimal("0.3"), True),
        ({"multipleOf": Decimal("0.01")}, Decimal("19.99"), True),
        ({"multipleOf": Decimal("0.01")}, Decimal("19.999"), False),
        ({"multipleOf": Decimal("0.01")}, Decimal("1E+40"), True),
        ({"multipleOf": 3}, 10**70, False),
        ({"multipleOf": 3}, "text", True),
        ({"pattern": "^[A-Z]{1,5}$"}, "AAPL", True),
        ({"pattern": "^[A-Z]{1,5}$"}, "aapl", False),
        ({"pattern": "^x"}, 5, True),
        (True, {"anything": 1}, True),
        (False, {}, False),
    ],
)
def test_a_value_fits_or_misses_a_schema(given, value, fits):
    assert (schema.violations(given, value) == []) is fits


def test_every_violation_is_told_with_its_path():
    given = {
        "type": "object",
        "properties": {"symbol": {"type": "string"}, "lots": {"type": "array", "items": {"type": "integer"}}},
        "required": ["symbol", "price"],
    }
    found = dict(schema.violations(given, {"symbol": 5, "lots": [1, "two"]}))
    assert found.keys() == {"symbol", "lots.1", "price"}
    assert all(sentence.endswith(".") for sentence in found.values())


def test_a_pattern_that_explodes_elsewhere_takes_linear_time():
    assert schema.violations({"pattern": "^(a+)+$"}, "a" * 50_000 + "!")


def test_a_schema_that_refers_to_itself_without_end_is_told_so():
    ((path, sentence),) = schema.violations({"$ref": "#"}, 1)
    assert (path, sentence) == ("", "The schema refers to itself without end.")


def test_a_schema_elsewhere_is_never_fetched():
    with pytest.raises(Unresolvable):
        schema.violations({"$ref": "https://example.org/schema.json"}, 1)
