"""Tools of the site made, changed and deleted: permission, check, change, audit."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from workflows_app.dag import jsontext
from workflows_app.dag.configured import Mistake, mistakes
from workflows_app.dag.plan import Configured
from workflows_app.dag.types import Effect, JsonValue
from workflows_app.dag.wording import listed, quoted, shown
from workflows_app.models import ConfiguredTool
from workflows_app.models.site import MAX_NAME_LENGTH
from workflows_app.services.errors import InvalidTool, ToolConflict, ToolNameTaken, ToolPermission
from workflows_app.services.site import Edit, Refusals, Shelf
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


def create(recipe: Recipe, user: User | None) -> ConfiguredTool:
    """Raises `ToolPermission`, `InvalidTool`, `ToolNameTaken`; then nothing is saved."""
    return SHELF.create(recipe, user)


def change(edit: Edit[ConfiguredTool], fields: Mapping[str, Any]) -> ConfiguredTool:
    """The tool with other values of these fields of its recipe; what is the same changes nothing, not even the version.

    Executions that were accepted before go on with what it was. Raises what `create` raises, and `ToolConflict`.
    """
    return SHELF.change(edit, fields)


def delete(edit: Edit[ConfiguredTool]) -> None:
    """Workflows that use it do not start any more. Raises `ToolPermission` and `ToolConflict`."""
    SHELF.delete(edit)


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


SHELF = Shelf(
    model=ConfiguredTool,
    noun="tool",
    noted=("name", "kind"),
    recipe_of=recipe_of,
    checked=_checked,
    refusals=Refusals(
        name_taken=ToolNameTaken,
        conflict=ToolConflict,
        permission=ToolPermission,
        unknown=lambda name: UnknownTool(name, ()),
    ),
)
