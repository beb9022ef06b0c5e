"""An API's URLs with what ninja leaves to Django: unknown addresses, wrong methods, bodies of unknown length."""

import time
from collections.abc import Awaitable, Callable
from functools import wraps
from http import HTTPStatus
from inspect import iscoroutinefunction
from typing import Any, cast

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, re_path
from django.views.decorators.csrf import csrf_exempt
from ninja import NinjaAPI

from executions_app import measures
from executions_app.web.problems import problem_of
from workflows_app.rest.auth import READ
from workflows_app.rest.errors import (
    InvalidRequest,
    LengthRequired,
    MethodNotAllowed,
    RequestError,
    Unauthenticated,
    UnknownPath,
)
from workflows_app.services.audit import acting_from, address_of
from workflows_app.services.errors import Throttled

type View = Callable[..., HttpResponseBase]


def urls(api: NinjaAPI) -> tuple[list[URLPattern], str, str]:
    """What `path()` takes to mount an API on which `install` was called."""
    patterns, app_name, namespace = api.urls
    framed = [
        URLPattern(found.pattern, _framed(found.callback), found.default_args, found.name)
        for found in cast("list[URLPattern]", patterns)
    ]
    return [path("", unknown), *framed, re_path("", unknown)], app_name, namespace


@csrf_exempt
def unknown(_request: HttpRequest) -> HttpResponse:
    """The answer at every address where there is nothing."""
    return problem_of(UnknownPath())


def for_users(view: View) -> View:
    """Shows a page of the documentation to whoever may read."""

    @wraps(view)
    def shown(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            if not any(auth(request) for auth in READ):
                raise Unauthenticated
        except (RequestError, Throttled) as error:
            return problem_of(error)
        return view(request, *args, **kwargs)

    return shown


def _framed(view: Callable[..., Any]) -> Callable[..., Any]:
    @csrf_exempt
    def framed(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        refused = _refused(request)
        if refused is not None:
            return refused
        began = time.perf_counter()
        with acting_from(address_of(request)):
            response = _finished(request, cast(HttpResponseBase, view(request, *args, **kwargs)))
        return _measured(request, response, time.perf_counter() - began)

    @csrf_exempt
    async def framed_async(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        refused = _refused(request)
        if refused is not None:
            return refused
        began = time.perf_counter()
        with acting_from(address_of(request)):
            response = _finished(request, await cast(Awaitable[HttpResponseBase], view(request, *args, **kwargs)))
        return _measured(request, response, time.perf_counter() - began)

    return framed_async if iscoroutinefunction(view) else framed


def _refused(request: HttpRequest) -> HttpResponse | None:
    if "\0" in request.path_info:
        return problem_of(UnknownPath())
    if "%00" in request.META.get("QUERY_STRING", ""):
        # No database takes it.
        return problem_of(InvalidRequest("A parameter holds U+0000: remove it."))
    if "Transfer-Encoding" in request.headers and "Content-Length" not in request.headers:
        return problem_of(LengthRequired())
    return None


def _measured(request: HttpRequest, response: HttpResponseBase, seconds: float) -> HttpResponseBase:
    assert request.resolver_match is not None
    operation = request.resolver_match.url_name or ""
    measures.request_seconds.observe(seconds, operation, _method(request), str(response.status_code))
    return response


def _method(request: HttpRequest) -> str:
    # Anybody can make a method up, and each one would be kept.
    return request.method if request.method in _METHODS else "other"


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _finished(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    if isinstance(response, HttpResponseNotAllowed):
        allowed = response["Allow"]
        response = problem_of(MethodNotAllowed(request.method or "", allowed))
        response["Allow"] = allowed
    if response.status_code == HTTPStatus.NO_CONTENT:
        del response.headers["Content-Type"]
    response.headers.setdefault("Cache-Control", "no-store")
    return response
