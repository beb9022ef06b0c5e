"""An execution in a path is found before anything else of the request is looked at."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from ninja.params.models import Query
from pydantic import AfterValidator, BeforeValidator, PlainValidator, ValidationInfo, WithJsonSchema

from executions_app.queries import execution_for
from workflows_app.catalogue import configured_for
from workflows_app.rest.auth import caller

_NUMBER = re.compile(r"\s*[-+]?[\d.]+(e[-+]?\d+)?\s*", re.IGNORECASE)


def _execution(value: Any, info: ValidationInfo) -> Any:
    assert info.context is not None
    return execution_for(caller(info.context["request"]).user, str(value))


def _configured(value: Any, info: ValidationInfo) -> Any:
    assert info.context is not None
    return configured_for(caller(info.context["request"]).user, str(value))


def _in_utc(value: datetime | None) -> datetime | None:
    if value is None:
        return None
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:
        raise ValueError("The time is beyond the calendar") from None


ExecutionInPath = Annotated[Any, PlainValidator(_execution), WithJsonSchema({"type": "string", "format": "uuid"})]

# The tool of the site with the name in the path, if it exists for who calls.
ToolInPath = Annotated[Any, PlainValidator(_configured), WithJsonSchema({"type": "string"})]


def _as_text(value: Any) -> Any:
    """Pydantic would take a bare number for seconds, or for milliseconds, since 1970."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        raise ValueError("A time is written as 2026-01-02T03:04:05Z")
    return value


Time = Annotated[
    datetime | None,
    BeforeValidator(_as_text),
    AfterValidator(_in_utc),
    Query(None, description="RFC 3339; UTC without a zone"),
]
After = Annotated[int, Query(0, ge=0, lt=2**31, description="only what has a greater seq")]
