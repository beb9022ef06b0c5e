"""The tools of this process."""

from dataclasses import asdict
from typing import Any

from django.http import HttpRequest
from ninja import Router

from executions_app.schemas import ToolPage, ToolShown, Trial, TrialShown
from executions_app.services.try_tool import try_tool
from workflows_app.queries import tool_json, tools_json
from workflows_app.rest.auth import READ, RUN, caller
from workflows_app.tools.registry import registry

router = Router(tags=["tools"])


@router.get("/tools", auth=READ, response=ToolPage)
def list_tools(request: HttpRequest) -> Any:
    """All registered tools, by name."""
    return {"items": tools_json(), "next": None}


@router.get("/tools/{name}", auth=READ, response=ToolShown)
def get_tool(request: HttpRequest, name: str) -> Any:
    """What a tool takes and gives, as JSON Schema, and what a repetition would do outside."""
    return tool_json(registry.get(name))


@router.post("/tools/{name}/test", auth=RUN, response=TrialShown)
async def test_tool(request: HttpRequest, name: str, body: Trial) -> Any:
    """Call a tool once, with its effect, and see what it returns or how it fails; at most 60 s."""
    return asdict(await try_tool(name, body.inputs, caller(request).user))
