"""Fields that all models of the project share: JSON that keeps every digit, and keys that sort by time."""

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, override

import uuid_utils
from django.core.exceptions import ValidationError
from django.db import models

from workflows_app.dag import jsontext

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models.sql.compiler import SQLCompiler

    _TextField = models.TextField[Any, Any]
    _Lookup = models.Lookup[Any]
else:
    _TextField = models.TextField
    _Lookup = models.Lookup


def new_id() -> uuid.UUID:
    """A UUIDv7: ids made later are greater, so that inserts go to the end of the index."""
    return uuid.UUID(int=uuid_utils.uuid7().int)


class JsonTextField(_TextField):
    """A JSON value in a text column, through the project's one codec.

    Unlike `JSONField` it keeps the digits of every number (as `int` and `Decimal`), the order of keys, and is
    the same on every database. All that can be asked of it is whether a list has an item of text: `__has_item`.
    None is SQL NULL.
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


@JsonTextField.register_lookup
class HasItem(_Lookup):
    """Whether the list in a field has this text among its items."""

    lookup_name = "has_item"
    prepare_rhs = False

    def as_sqlite(self, compiler: "SQLCompiler", connection: "BaseDatabaseWrapper") -> tuple[str, Sequence[Any]]:
        return self._sql("EXISTS (SELECT 1 FROM json_each({}) WHERE value = {})", compiler, connection)

    def as_postgresql(self, compiler: "SQLCompiler", connection: "BaseDatabaseWrapper") -> tuple[str, Sequence[Any]]:
        return self._sql("jsonb_exists(({})::jsonb, {})", compiler, connection)

    def _sql(self, form: str, compiler: "SQLCompiler", connection: "BaseDatabaseWrapper") -> tuple[str, Sequence[Any]]:
        field, field_parameters = self.process_lhs(compiler, connection)
        item, item_parameters = self.process_rhs(compiler, connection)
        return form.format(field, item), [*field_parameters, *item_parameters]
