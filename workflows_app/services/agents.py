"""Agents of the site made, changed and deleted."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from workflows_app.agents import providers
from workflows_app.dag import jsontext
from workflows_app.dag.agents import is_agent_name
from workflows_app.dag.configured import Mistake
from workflows_app.dag.registered import mistakes
from workflows_app.dag.wording import listed, quoted
from workflows_app.models import Agent
from workflows_app.models.site import MAX_NAME_LENGTH
from workflows_app.services.errors import AgentConflict, AgentNameTaken, AgentNotFound, AgentPermission, InvalidAgent
from workflows_app.services.roster import gives_of
from workflows_app.services.site import Edit, Refusals, Shelf
from workflows_app.services.toolbox import Toolbox

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from workflows_app.dag.types import JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRecipe:
    """What an agent is to be: keys of a node of type agent, and what it is called."""

    name: str
    description: str = ""
    provider: str
    model: str
    system: str = ""
    tools: JsonValue = field(default_factory=list)
    allow_effects: bool = False
    output_schema: JsonValue = None
    limits: JsonValue = None
    is_active: bool = True


def recipe_of(row: Agent) -> AgentRecipe:
    return AgentRecipe(
        name=row.name,
        description=row.description,
        provider=row.provider,
        model=row.model,
        system=row.system,
        tools=[*row.tools],
        allow_effects=row.allow_effects,
        output_schema=row.output_schema,
        limits=row.limits,
        is_active=row.is_active,
    )


def create(recipe: AgentRecipe, user: User | None) -> Agent:
    """Raises `AgentPermission`, `InvalidAgent`, `AgentNameTaken`; then nothing is saved."""
    return SHELF.create(recipe, user)


def change(edit: Edit[Agent], fields: Mapping[str, Any]) -> Agent:
    """The agent with other values of these fields of its recipe; what is the same changes nothing.

    Executions that were accepted before go on with what it was. Raises what `create` raises, and `AgentConflict`.
    """
    return SHELF.change(edit, fields)


def delete(edit: Edit[Agent]) -> None:
    """Workflows that name it do not start any more. Raises `AgentPermission` and `AgentConflict`."""
    SHELF.delete(edit)


def mistakes_of(recipe: AgentRecipe) -> list[Mistake]:
    """Everything that is wrong with a recipe, but for a name that another agent has."""
    gives = gives_of(Agent(**asdict(recipe)))
    return [*_of_name(recipe.name), *_of_provider(recipe.provider), *mistakes(gives, Toolbox())]


def _of_name(name: str) -> Generator[Mistake]:
    if not is_agent_name(name) or len(name) > MAX_NAME_LENGTH:
        message = (
            f"{quoted(name)} is no name for an agent: use lower-case letters, digits and underscores, as in 'analyst' "
            f"or 'desk.analyst', with at most {MAX_NAME_LENGTH} characters."
        )
        yield Mistake(field="name", message=message)


def _of_provider(name: str) -> Generator[Mistake]:
    """An empty one is told by the check of all that the agent gives."""
    if not name:
        return
    try:
        known = providers.current()
    except providers.ProviderSettingError as error:
        yield Mistake(field="provider", message=f"The settings know no providers as they are. {error}")
        return
    if name not in known:
        message = (
            f"There is no provider {quoted(name)} here: the settings know {listed(map(quoted, known), 'and')}. "
            "Name one of these, or add it to AGENT_PROVIDERS."
        )
        yield Mistake(field="provider", message=message)


def _checked(recipe: AgentRecipe) -> AgentRecipe:
    """The recipe with canonical values. Raises `InvalidAgent`."""
    clean: dict[str, Any] = {}
    for name in ("system", "tools", "output_schema", "limits"):
        try:
            clean[name] = jsontext.clean(getattr(recipe, name))
        except jsontext.JsonError as error:
            raise InvalidAgent([Mistake(field=name, message=str(error))]) from error
    checked = replace(recipe, **clean)
    if found := mistakes_of(checked):
        raise InvalidAgent(found)
    return checked


SHELF = Shelf(
    model=Agent,
    noun="agent",
    noted=("name", "provider", "model"),
    recipe_of=recipe_of,
    checked=_checked,
    refusals=Refusals(
        name_taken=AgentNameTaken, conflict=AgentConflict, permission=AgentPermission, unknown=AgentNotFound
    ),
)
