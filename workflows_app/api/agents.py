"""The agents of the site: looked at, made, changed."""

from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Router, Status
from pydantic import PlainValidator, ValidationInfo, WithJsonSchema

from workflows_app.api.parameters import Cursor, IfMatch, Limit
from workflows_app.catalogue import agent_for, agent_json, agents_page
from workflows_app.models import Agent
from workflows_app.rest.auth import READ, WRITE, caller
from workflows_app.rest.shapes import Refusal
from workflows_app.rest.versions import required_version, state_version
from workflows_app.schemas import AgentChange, AgentGiven, AgentPage, AgentShown
from workflows_app.services import agents
from workflows_app.services.agents import AgentRecipe
from workflows_app.services.site import Edit

router = Router(tags=["agents"])


def _agent(value: Any, info: ValidationInfo) -> Agent:
    assert info.context is not None
    return agent_for(caller(info.context["request"]).user, str(value))


# The agent with the name in the path, if it exists for who calls.
AgentInPath = Annotated[Any, PlainValidator(_agent), WithJsonSchema({"type": "string"})]


@router.get("/agents", auth=READ, response=AgentPage)
def list_agents(request: HttpRequest, limit: Limit, cursor: Cursor) -> Any:
    """The agents of the site that nodes may name, by name."""
    page = agents_page(caller(request).user, limit, cursor)
    return {"items": [agent_json(found) for found in page.items], "next": page.next}


@router.post("/agents", auth=WRITE, response={201: AgentShown, 409: Refusal})
def create_agent(request: HttpRequest, response: HttpResponse, body: AgentGiven) -> Any:
    """A new agent of the site. Needs the permission to add agents."""
    row = agents.create(AgentRecipe(**body.model_dump()), caller(request).user)
    assert request.resolver_match is not None
    name = f"{request.resolver_match.namespace}:{get_agent.__name__}"
    response["Location"] = reverse(name, kwargs={"name": row.name})
    return Status(201, _shown(response, row))


@router.get("/agents/{name}", auth=READ, response=AgentShown)
def get_agent(request: HttpRequest, response: HttpResponse, name: AgentInPath) -> Any:
    """The model of an agent, what it is told, and what it may do and use."""
    del request
    return _shown(response, name)


@router.patch("/agents/{name}", auth=WRITE, response=AgentShown)
def change_agent(
    request: HttpRequest, response: HttpResponse, name: AgentInPath, if_match: IfMatch, body: AgentChange
) -> Any:
    """Some fields of an agent. Needs If-Match, and the permission to change agents."""
    changed = agents.change(_edit(request, name, if_match), body.model_dump(exclude_unset=True))
    return _shown(response, changed)


@router.delete("/agents/{name}", auth=WRITE, response={204: None})
def delete_agent(request: HttpRequest, name: AgentInPath, if_match: IfMatch) -> Any:
    """Workflows that name it do not start any more. Needs If-Match, and the permission to delete agents."""
    agents.delete(_edit(request, name, if_match))
    return Status(204, None)


def _edit(request: HttpRequest, agent: Agent, if_match: str | None) -> Edit[Agent]:
    return Edit(row=agent, user=caller(request).user, version=required_version(if_match))


def _shown(response: HttpResponse, agent: Agent) -> Any:
    state_version(response, agent.version)
    return agent_json(agent)
