"""Tools of the site made, changed and deleted: permission, check, change, audit."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.db.models import F

from workflows_app.dag import jsontext
from workflows_app.dag.configured import Mistake, mistakes
from workflows_app.dag.plan import Configured
from workflows_app.dag.types import Effect, JsonObject, JsonValue
from workflows_app.dag.wording import listed, quoted, shown
from workflows_app.models import ConfiguredTool
from workflows_app.models.configured_tool import ADD, CHANGE, DELETE, MAX_NAME_LENGTH
from workflows_app.services.audit import audit, audit_name
from workflows_app.services.errors import InvalidTool, ToolConflict, ToolNameTaken, ToolPermission
from workflows_app.services.limits import is_first_of_minute
from workflows_app.tools.errors import UnknownTool
from workflows_app.tools.registry import is_tool_name, registry

if TYPE_CHECKING:
    from django.contrib.auth.models import User


_JSON = ("configuration", "input_schema", "output_schema")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a tool is to be; without an effect it has that of its kind."""

    name: str
    kind: str
    description: str = ""
    configuration: JsonValue
    input_schema: JsonValue = None
    output_schema: JsonValue = None
    effect: str | None = None
    is_active: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolEdit:
    """Who changes which tool; `version` is the one that the change was made for, None for whichever there is."""

    tool: ConfiguredTool
    user: User
    version: int | None


def recipe_of(row: ConfiguredTool) -> Recipe:
    return Recipe(
        name=row.name,
        kind=row.kind,
        description=row.description,
        configuration=row.configuration,
        input_schema=row.input_schema,
        output_schema=row.output_schema,
        effect=row.effect,
        is_active=row.is_active,
    )


def create(recipe: Recipe, user: User) -> ConfiguredTool:
    """Raises `ToolPermission`, `InvalidTool`, `ToolNameTaken`; then nothing is saved."""
    _demand(user, ADD)
    checked = _checked(recipe)
    row = ConfiguredTool(created_by=user, **asdict(checked))
    with _unique_name(checked.name):
        row.save(force_insert=True)
        audit(user, "tool.created", row, {"name": row.name, "kind": row.kind})
    return row


def change(edit: ToolEdit, fields: Mapping[str, Any]) -> ConfiguredTool:
    """The tool with other values of these fields of its recipe; what is the same changes nothing, not even the version.

    Executions that were accepted before go on with what it was. Raises what `create` raises, and `ToolConflict`.
    """
    _demand(edit.user, CHANGE)
    with _unique_name(str(fields.get("name", edit.tool.name))):
        row = _locked(edit)
        before = recipe_of(row)
        wanted = _checked(replace(before, **fields))
        # As text: 1.0 and 1.00 are equal and not the same.
        texts = {name: jsontext.dumps(value) for name, value in asdict(before).items()}
        changed = [name for name, value in asdict(wanted).items() if jsontext.dumps(value) != texts[name]]
        if not changed:
            return row
        for name in changed:
            setattr(row, name, getattr(wanted, name))
        row.version += 1
        row.save()
        data: JsonObject = {"name": row.name, "version": row.version, "fields": [*changed]}
        audit(edit.user, "tool.changed", row, data)
    return row


def delete(edit: ToolEdit) -> None:
    """Workflows that use it do not start any more. Raises `ToolPermission` and `ToolConflict`."""
    _demand(edit.user, DELETE)
    with transaction.atomic():
        row = _locked(edit)
        key = str(row.pk)
        data: JsonObject = {"name": row.name, "version": row.version}
        _ = row.delete()
        audit_name(edit.user, "tool.deleted", "configuredtool", key, data)


def mistakes_of(recipe: Recipe) -> list[Mistake]:
    """Everything that is wrong with a recipe, but for a name that another tool of the site has."""
    found = list(_of_shape(recipe))
    if recipe.kind not in registry:
        message = str(UnknownTool(recipe.kind, (tool.name for tool in registry)))
        found.append(Mistake(field="kind", message=message))
    if recipe.effect is not None and recipe.effect not in list(Effect):
        message = f"{quoted(recipe.effect)} is no effect: use {listed(Effect)}, or none for that of the kind."
        found.append(Mistake(field="effect", message=message))
    if found:
        return found
    tool: Any = Configured(
        name=recipe.name,
        kind=recipe.kind,
        configuration=recipe.configuration,  # pyright: ignore[reportArgumentType]
        input_schema=recipe.input_schema,  # pyright: ignore[reportArgumentType]
        output_schema=recipe.output_schema,  # pyright: ignore[reportArgumentType]
    )
    return mistakes(tool, registry.get(recipe.kind).info, Effect(recipe.effect) if recipe.effect else None)


def _of_shape(recipe: Recipe) -> Generator[Mistake]:
    if not is_tool_name(recipe.name) or len(recipe.name) > MAX_NAME_LENGTH:
        message = (
            f"{quoted(recipe.name)} is no name for a tool: use a family and a name in lower case, as in "
            f"'crm.find_customer', with at most {MAX_NAME_LENGTH} characters."
        )
        yield Mistake(field="name", message=message)
    elif recipe.name in registry:
        message = f"There is a registered tool {quoted(recipe.name)}: choose another name."
        yield Mistake(field="name", message=message)
    if not isinstance(recipe.configuration, dict):
        message = f"The configuration is a mapping of parameters of the kind, not {shown(recipe.configuration)}."
        yield Mistake(field="configuration", message=message)
    for field in ("input_schema", "output_schema"):
        if not isinstance(value := getattr(recipe, field), dict | None):
            yield Mistake(field=field, message=f"A schema is a mapping, or left out; this is {shown(value)}.")


def _checked(recipe: Recipe) -> Recipe:
    """The recipe with canonical values. Raises `InvalidTool`."""
    try:
        clean: dict[str, Any] = {name: jsontext.clean(getattr(recipe, name)) for name in _JSON}
    except jsontext.JsonError as error:
        raise InvalidTool([Mistake(field="configuration", message=str(error))]) from error
    checked = replace(recipe, **clean, effect=recipe.effect or None)
    if found := mistakes_of(checked):
        raise InvalidTool(found)
    return checked


def _demand(user: User, permission: str) -> None:
    if not user.has_perm(permission):
        # Once a minute, as every refusal.
        if is_first_of_minute(f"refused:{user.pk}:tools:{permission}"):
            audit_name(user, "refused", "configuredtool", "", {"to": permission})
        raise ToolPermission


def _locked(edit: ToolEdit) -> ConfiguredTool:
    """The tool as it is, locked until the end of the transaction. Raises `ToolConflict`, `UnknownTool`."""
    rows = ConfiguredTool.objects.filter(pk=edit.tool.pk)
    wanted = rows if edit.version is None else rows.filter(version=edit.version)
    if wanted.update(version=F("version")):
        return rows.get()
    present = rows.first()
    if present is None:
        raise UnknownTool(edit.tool.name, ())
    raise ToolConflict(present.version)


@contextmanager
def _unique_name(name: str) -> Generator[None]:
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        raise ToolNameTaken(name) from error
