"""The tool `http.request`. What it works with is loaded at the first call: it takes a while."""

import asyncio
import sys
from decimal import Decimal
from importlib import import_module
from typing import NotRequired, TypedDict

from workflows_app.dag.types import Effect, EffectRule, JsonValue
from workflows_app.tools.context import ToolContext
from workflows_app.tools.http.inputs import Auth, Fields, Form, Inputs, Pagination
from workflows_app.tools.registry import tool

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_CLIENT = "workflows_app.tools.http.client"


class Answer(TypedDict):
    status: int
    headers: dict[str, str]
    body: JsonValue
    url: str
    # With `pagination`: how many were read, and whether there was no further one.
    pages: NotRequired[int]
    complete: NotRequired[bool]


@tool(
    "http.request",
    effect=Effect.AT_MOST_ONCE,
    effects={Effect.IDEMPOTENT},
    effect_rule=EffectRule(name="method", values=SAFE_METHODS, effect=Effect.NONE, when_absent=True),
)
async def request(
    context: ToolContext,
    url: str,
    method: str = "GET",
    headers: dict[str, str | int] | None = None,
    query: Fields | None = None,
    json: JsonValue = None,
    form: Fields | None = None,
    body: str | None = None,
    auth: Auth | None = None,
    expect: list[int] | None = None,
    response: Form = "auto",
    follow_redirects: int = 0,
    timeout_seconds: int | Decimal | None = None,
    pagination: Pagination | None = None,
    idempotency_key: bool | None = None,
) -> Answer:
    """Call an HTTP service and return its answer's status, headers and body; another status than 2xx is an error."""
    method = method.upper()
    has_key = method not in SAFE_METHODS if idempotency_key is None else idempotency_key
    inputs = Inputs(
        url=url,
        method=method,
        headers=headers or {},
        query=query or {},
        json=json,
        form=form,
        body=body,
        auth=auth,
        expect=expect,
        response=response,
        follow_redirects=follow_redirects,
        timeout_seconds=timeout_seconds,
        pagination=pagination,
        idempotency_key=context.idempotency_key if has_key else None,
    )
    if _CLIENT not in sys.modules:
        # In a thread: the event loop goes on meanwhile.
        _ = await asyncio.to_thread(import_module, _CLIENT)
    from workflows_app.tools.http.client import call  # noqa: PLC0415 - loaded above

    return await call(inputs)
