"""Fields that all models of the project share: JSON that keeps every digit, and keys that sort by time."""

import uuid
from typing import TYPE_CHECKING, Any, override

import uuid_utils
from django.core.exceptions import ValidationError
from django.db import models

from workflows_app.dag import jsontext

if TYPE_CHECKING:
    _TextField = models.TextField[Any, Any]
else:
    _TextField = models.TextField


def new_id() -> uuid.UUID:
    """A UUIDv7: ids made later are greater, so that inserts go to the end of the index."""
    return uuid.UUID(int=uuid_utils.uuid7().int)


class JsonTextField(_TextField):
    """A JSON value in a text column, through the project's one codec.

    Unlike `JSONField` it keeps the digits of every number (as `int` and `Decimal`), the order of keys, and is
    the same on every database. It cannot be queried into. None is SQL NULL.
    """

    description = "JSON text"

    def from_db_value(self, value: str | None, _expression: object, _connection: object) -> Any:
        return None if value is None else jsontext.loads(value)

    @override
    def to_python(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return jsontext.loads(value)
        except jsontext.JsonError as error:
            raise ValidationError(f"This is not JSON: {error}") from error

    @override
    def get_prep_value(self, value: Any) -> str | None:
        return None if value is None else jsontext.dumps(value)

    @override
    def value_to_string(self, obj: models.Model) -> str:
        value = self.value_from_object(obj)
        return "" if value is None else jsontext.dumps(value)
