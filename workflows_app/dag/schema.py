"""JSON Schema 2020-12 over canonical JSON values: numbers are `int` and `Decimal`, references stay inside."""

from collections.abc import Iterator
from decimal import Decimal, localcontext
from functools import lru_cache
from typing import Any, cast

from workflows_app.dag import jsontext
from workflows_app.dag.patterns import matcher
from workflows_app.dag.types import JsonObject, JsonValue


def violations(schema: JsonObject | bool, value: JsonValue) -> list[tuple[str, str]]:
    """Every way in which a value misses a schema, as pairs of dotted path (empty for the value itself) and sentence.

    The schema must be valid, see `schema_syntax.defect`.
    """
    validator = _validator(jsontext.dumps(schema))
    try:
        errors = sorted(validator.iter_errors(value), key=lambda error: [str(part) for part in error.path])
    except RecursionError:
        return [("", "The schema refers to itself without end.")]
    return [(_path(error), f"{error.message}.") for error in errors]


@lru_cache(maxsize=256)
def _validator(text: str) -> Any:
    import jsonschema  # noqa: PLC0415 - slow to import
    import referencing  # noqa: PLC0415

    # The stubs leave half of these open.
    library: Any = jsonschema
    base = library.Draft202012Validator
    checker = base.TYPE_CHECKER.redefine("integer", _is_integer)
    kind = library.validators.extend(base, {"multipleOf": _multiple_of, "pattern": _pattern}, type_checker=checker)
    # An empty registry: a reference to another host is an error, never a request.
    return kind(jsontext.loads(text), registry=cast("Any", referencing).Registry())


def _multiple_of(_validator: object, factor: Any, value: Any, _schema: object) -> Iterator[Any]:
    """Exact for every number that the codec lets through: `1e40` is a multiple of `0.01`."""
    from jsonschema import ValidationError  # noqa: PLC0415 - slow to import

    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        with localcontext(prec=1000):
            remainder = Decimal(value) % Decimal(factor)
        if remainder:
            yield ValidationError(f"{value} is not a multiple of {factor}")


def _pattern(_validator: object, pattern: str, value: Any, _schema: object) -> Iterator[Any]:
    """RE2 takes linear time, whatever the author's pattern and the data."""
    from jsonschema import ValidationError  # noqa: PLC0415 - slow to import

    if isinstance(value, str) and not matcher(pattern).search(value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


def _is_integer(_checker: object, value: object) -> bool:
    """JSON Schema counts 1.0 as an integer."""
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (isinstance(value, Decimal) and value == value.to_integral_value())


def _path(error: Any) -> str:
    """The place of an error; for a missing or surplus property, the property itself."""
    parts = [str(part) for part in error.absolute_path]
    if error.validator == "required" and isinstance(error.instance, dict):
        missing = next((name for name in error.validator_value if repr(name) in error.message), None)
        parts += [missing] if missing else []
    return ".".join(parts)
