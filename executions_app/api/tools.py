"""The tools of this process and of the site: looked at, tried, made, changed."""

from dataclasses import asdict
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Router, Status

from executions_app.api.parameters import ToolInPath
from executions_app.schemas import ToolChange, ToolGiven, ToolPage, ToolShown, Trial, TrialShown
from executions_app.services.try_tool import try_tool
from workflows_app.api.parameters import IfMatch
from workflows_app.catalogue import entry_for, tool_json, tools_json
from workflows_app.models import ConfiguredTool
from workflows_app.rest.auth import READ, RUN, WRITE, caller
from workflows_app.rest.shapes import Refusal
from workflows_app.rest.versions import required_version, state_version
from workflows_app.services import tools
from workflows_app.services.site import Edit
from workflows_app.services.tools import Recipe

router = Router(tags=["tools"])


@router.get("/tools", auth=READ, response=ToolPage)
def list_tools(request: HttpRequest) -> Any:
    """All tools that you may use, by name: the registered ones, and those that were made on the site."""
    return {"items": tools_json(caller(request).user), "next": None}


@router.post("/tools", auth=WRITE, response={201: ToolShown, 409: Refusal})
def create_tool(request: HttpRequest, response: HttpResponse, body: ToolGiven) -> Any:
    """A new tool of the site, made of a registered one. Needs the permission to add tools."""
    row = tools.create(Recipe(**body.model_dump()), caller(request).user)
    assert request.resolver_match is not None
    name = f"{request.resolver_match.namespace}:{get_tool.__name__}"
    response["Location"] = reverse(name, kwargs={"name": row.name})
    return Status(201, _shown(request, response, row))


@router.get("/tools/{name}", auth=READ, response=ToolShown)
def get_tool(request: HttpRequest, response: HttpResponse, name: str) -> Any:
    """What a tool takes and gives, as JSON Schema, and what a repetition would do outside."""
    shown = tool_json(entry_for(caller(request).user, name), caller(request).user)
    if shown["version"] is not None:
        state_version(response, shown["version"])
    return shown


@router.put("/tools/{name}", auth=WRITE, response=ToolShown)
def replace_tool(
    request: HttpRequest, response: HttpResponse, name: ToolInPath, if_match: IfMatch, body: ToolGiven
) -> Any:
    """All of a tool of the site anew. Needs If-Match, and the permission to change tools."""
    return _changed(request, response, name, if_match, body.model_dump())


@router.patch("/tools/{name}", auth=WRITE, response=ToolShown)
def change_tool(
    request: HttpRequest, response: HttpResponse, name: ToolInPath, if_match: IfMatch, body: ToolChange
) -> Any:
    """Some fields of a tool of the site. Needs If-Match, and the permission to change tools."""
    return _changed(request, response, name, if_match, body.model_dump(exclude_unset=True))


@router.delete("/tools/{name}", auth=WRITE, response={204: None})
def delete_tool(request: HttpRequest, name: ToolInPath, if_match: IfMatch) -> Any:
    """Workflows that use it do not start any more. Needs If-Match, and the permission to delete tools."""
    tools.delete(_edit(request, name, if_match))
    return Status(204, None)


@router.post("/tools/{name}/test", auth=RUN, response=TrialShown)
async def test_tool(request: HttpRequest, name: str, body: Trial) -> Any:
    """Call a tool once, with its effect, and see what it returns or how it fails; at most 60 s."""
    return asdict(await try_tool(name, body.inputs, caller(request).user))


def _changed(
    request: HttpRequest, response: HttpResponse, tool: ConfiguredTool, if_match: str | None, fields: dict[str, Any]
) -> Any:
    return _shown(request, response, tools.change(_edit(request, tool, if_match), fields))


def _edit(request: HttpRequest, tool: ConfiguredTool, if_match: str | None) -> Edit[ConfiguredTool]:
    return Edit(row=tool, user=caller(request).user, version=required_version(if_match))


def _shown(request: HttpRequest, response: HttpResponse, tool: ConfiguredTool) -> Any:
    state_version(response, tool.version)
    user = caller(request).user
    return tool_json(entry_for(user, tool.name), user)
