"""Every error of the API as `application/problem+json` (RFC 9457), in this one place."""

import math
from http import HTTPStatus
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, Throttled, ValidationError

from executions_app.problems import STATUS, Problem, mistake
from executions_app.problems import problem_of as problem_in
from executions_app.web.openapi import PROBLEM
from workflows_app.conf import workflow_settings
from workflows_app.dag import jsontext
from workflows_app.rest import errors as requests
from workflows_app.rest.codec import UNFIT, field_error
from workflows_app.rest.errors import FieldError


def handle_problems(api: NinjaAPI) -> None:
    """Have an API answer every error as a problem."""
    handlers: dict[type[Exception], Any] = {
        **dict.fromkeys(STATUS, _refused),
        requests.RequestError: _refused,
        RequestDataTooBig: _too_big,
        Http404: _not_found,
        AuthenticationError: _unauthenticated,
        Throttled: _throttled,
        HttpError: _of_ninja,
        ValidationError: _unfit,
        Exception: _unexpected,
    }
    for kind, handler in handlers.items():
        api.add_exception_handler(kind, handler)


def problem_of(error: Exception) -> HttpResponse:
    """What a request, a service or a query was refused with."""
    return _told(problem_in(error))


def _told(problem: Problem) -> HttpResponse:
    response = HttpResponse(jsontext.dumps(problem.as_json()), status=problem.status, content_type=PROBLEM)
    if problem.status == HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = "Bearer"
    if problem.retry_after is not None:
        response["Retry-After"] = str(math.ceil(problem.retry_after))
    return response


def _refused(_request: HttpRequest, error: Exception) -> HttpResponse:
    return problem_of(error)


def _not_found(_request: HttpRequest, _error: Http404) -> HttpResponse:
    return problem_of(requests.UnknownPath())


def _unauthenticated(_request: HttpRequest, _error: AuthenticationError) -> HttpResponse:
    return problem_of(requests.Unauthenticated())


def _of_ninja(_request: HttpRequest, error: HttpError) -> HttpResponse:
    # Whatever reading a body raises, ninja makes an error of its own of it.
    if isinstance(error.__cause__, requests.RequestError):
        return problem_of(error.__cause__)
    return _told(Problem(status=error.status_code, code="refused", detail=str(error)))


def _throttled(_request: HttpRequest, error: Throttled) -> HttpResponse:
    wait = "later" if error.wait is None else f"in {error.wait:.0f} s"
    detail = f"These were too many requests: try again {wait}."
    status = HTTPStatus.TOO_MANY_REQUESTS
    return _told(Problem(status=status, code="too_many_requests", detail=detail, retry_after=error.wait))


def _too_big(_request: HttpRequest, _error: RequestDataTooBig) -> HttpResponse:
    return problem_of(requests.BodyTooLarge(workflow_settings().document_bytes))


def _unfit(_request: HttpRequest, error: ValidationError) -> HttpResponse:
    """What does not fit the operation's parameters; the first step of a place is where it was: body, query, path."""
    errors: list[FieldError] = []
    for detail in error.errors:
        source, *path = detail["loc"]
        # The name of a body's parameter is ours, not the caller's.
        below = path[1:] if source == "body" else path
        errors.append({**field_error({**detail, "loc": below}), "in": source})
    return problem_of(requests.InvalidRequest(UNFIT, errors))


def _unexpected(request: HttpRequest, error: Exception) -> HttpResponse:
    return _told(mistake(error, f"{request.method} {request.path}"))
