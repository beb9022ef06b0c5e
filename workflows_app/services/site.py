"""What is made once for the whole site: made, changed and deleted. Permission, check, change, audit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import F

from workflows_app.dag import jsontext
from workflows_app.models.site import SiteModel
from workflows_app.services.audit import audit, audit_name
from workflows_app.services.limits import is_first_of_minute
from workflows_app.services.uniqueness import unique_name

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from django.contrib.auth.models import User

    from workflows_app.dag.types import JsonObject
else:
    DataclassInstance = object


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit[M: SiteModel]:
    """Who changes what; `version` is the one that the change was made for, None for whichever there is.

    Nobody, None, is whoever has the machine.
    """

    row: M
    user: User | None
    version: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusals:
    """The errors of one sort of things: of a name, of the version that there is, of nothing, of a name."""

    name_taken: Callable[[str], Exception]
    conflict: Callable[[int], Exception]
    permission: Callable[[], Exception]
    unknown: Callable[[str], Exception]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf[M: SiteModel, R: DataclassInstance]:
    """All things of one sort. What one is to be is a recipe, whose fields are fields of its row.

    `checked` answers a recipe with canonical values, or raises. `noun` and the fields `noted` are for the audit.
    """

    model: type[M]
    noun: str
    noted: tuple[str, ...]
    recipe_of: Callable[[M], R]
    checked: Callable[[R], R]
    refusals: Refusals

    def create(self, recipe: R, user: User | None) -> M:
        """Raises what `checked` raises and the refusals; then nothing is saved."""
        self.demand(user, "add")
        fields = asdict(self.checked(recipe))
        row = self.model(created_by=user, **fields)
        with unique_name(self.refusals.name_taken(row.name)):
            row.save(force_insert=True)
            audit(user, f"{self.noun}.created", row, {name: fields[name] for name in self.noted})
        return row

    def change(self, edit: Edit[M], fields: Mapping[str, Any]) -> M:
        """The thing with other values of these fields; what is the same changes nothing, not even the version."""
        self.demand(edit.user, "change")
        with unique_name(self.refusals.name_taken(str(fields.get("name", edit.row.name)))):
            row = self._locked(edit)
            before = self.recipe_of(row)
            wanted = asdict(self.checked(replace(before, **fields)))
            # As text: 1.0 and 1.00 are equal and not the same.
            texts = {name: jsontext.dumps(value) for name, value in asdict(before).items()}
            changed = [name for name, value in wanted.items() if jsontext.dumps(value) != texts[name]]
            if not changed:
                return row
            for name in changed:
                setattr(row, name, wanted[name])
            row.version += 1
            row.save()
            data: JsonObject = {"name": row.name, "version": row.version, "fields": [*changed]}
            audit(edit.user, f"{self.noun}.changed", row, data)
        return row

    def delete(self, edit: Edit[M]) -> None:
        self.demand(edit.user, "delete")
        with transaction.atomic():
            row = self._locked(edit)
            key = str(row.pk)
            data: JsonObject = {"name": row.name, "version": row.version}
            _ = row.delete()
            audit_name(edit.user, f"{self.noun}.deleted", self._object_type, key, data)

    def demand(self, user: User | None, verb: str) -> None:
        """Raises a refusal where a user may not `add`, `change` or `delete` such things. None may."""
        permission = self.model.permission(verb)
        if user is not None and not user.has_perm(permission):
            # Once a minute, as every refusal.
            if is_first_of_minute(f"refused:{user.pk}:{permission}"):
                audit_name(user, "refused", self._object_type, "", {"to": permission})
            raise self.refusals.permission()

    @property
    def _object_type(self) -> str:
        return self.model._meta.model_name or ""

    def _locked(self, edit: Edit[M]) -> M:
        """The thing as it is, locked until the end of the transaction."""
        every: Any = self.model._default_manager
        rows = every.filter(pk=edit.row.pk)
        wanted = rows if edit.version is None else rows.filter(version=edit.version)
        if wanted.update(version=F("version")):
            return rows.get()
        present = rows.first()
        if present is None:
            raise self.refusals.unknown(edit.row.name)
        raise self.refusals.conflict(present.version)
