"""Every error as `application/problem+json` (RFC 9457), in this one place."""

import logging
import math
from http import HTTPStatus
from typing import Any, cast

from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, Throttled, ValidationError
from uuid_utils import uuid7

from executions_app.services import errors as runs
from executions_app.web.openapi import PROBLEM
from workflows_app.conf import workflow_settings
from workflows_app.dag import jsontext
from workflows_app.dag.problems import errors_of
from workflows_app.models.pages import InvalidCursor
from workflows_app.rest import errors as requests
from workflows_app.rest.codec import UNFIT, field_error
from workflows_app.rest.errors import FieldError
from workflows_app.services import errors as definitions
from workflows_app.tools.errors import UnknownTool

logger = logging.getLogger(__name__)

# The status of what services and queries refuse; subclasses have that of their base.
STATUS: dict[type[Exception], int] = {
    definitions.DefinitionError: 422,
    definitions.Forbidden: 403,
    definitions.WorkflowNotFoundError: 404,
    definitions.PartNotFound: 404,
    definitions.VersionConflict: 409,
    definitions.NameTaken: 409,
    definitions.SecretNotFound: 404,
    definitions.SecretNameTaken: 409,
    definitions.ToolNameTaken: 409,
    definitions.ToolConflict: 409,
    definitions.ToolPermission: 403,
    definitions.RegisteredTool: 409,
    definitions.Throttled: 429,
    runs.RunError: 409,
    runs.ExecutionNotFound: 404,
    runs.NodeNotFound: 404,
    runs.InvalidInput: 422,
    runs.TooManyPending: 429,
    UnknownTool: 404,
    jsontext.JsonError: 422,
    InvalidCursor: 422,
}
# Errors that are no domain errors and have no code of their own.
_CODES = {UnknownTool: "not_found", jsontext.JsonError: "invalid_request", InvalidCursor: "invalid_cursor"}


def handle_problems(api: NinjaAPI) -> None:
    """Have an API answer every error as a problem."""
    handlers: dict[type[Exception], Any] = {
        **dict.fromkeys(STATUS, _of_domain),
        requests.RequestError: _of_request,
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


def problem(status: int, code: str, detail: str, errors: list[FieldError] | None = None) -> HttpResponse:
    """`code` is for machines, `detail` a sentence for people, `errors` says what is wrong where."""
    text = jsontext.dumps(
        {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
            "code": code,
            "errors": errors or [],
        }
    )
    response = HttpResponse(text, status=status, content_type=PROBLEM)
    if status == HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = "Bearer"
    return response


def problem_of(error: requests.RequestError) -> HttpResponse:
    errors = error.errors if isinstance(error, requests.InvalidRequest) else []
    return problem(error.status, error.code, str(error), errors)


def _of_request(_request: HttpRequest, error: requests.RequestError) -> HttpResponse:
    return problem_of(error)


def _not_found(_request: HttpRequest, _error: Http404) -> HttpResponse:
    return problem_of(requests.UnknownPath())


def _unauthenticated(_request: HttpRequest, _error: AuthenticationError) -> HttpResponse:
    return problem_of(requests.Unauthenticated())


def _of_domain(_request: HttpRequest, error: Exception) -> HttpResponse:
    return problem_of_domain(error)


def problem_of_domain(error: Exception) -> HttpResponse:
    """What a service or query refused."""
    kind = next(kind for kind in type(error).__mro__ if kind in STATUS)
    code = _CODES.get(kind) or cast(str, cast(Any, error).code)
    response = problem(STATUS[kind], code, str(error), _errors_of(error))
    return _retry_after(response, getattr(error, "retry_after", None))


def _retry_after(response: HttpResponse, seconds: float | None) -> HttpResponse:
    if seconds is not None:
        response["Retry-After"] = str(math.ceil(seconds))
    return response


def _errors_of(error: Exception) -> list[FieldError]:
    match error:
        case definitions.InvalidDefinition():
            return [found.as_json() for found in errors_of(error.problems)]
        case definitions.InvalidTool():
            return [{"code": error.code, "message": one.message, "field": one.field} for one in error.mistakes]
        case runs.InvalidInput():
            return [{"code": error.code, "message": sentence, "field": field} for field, sentence in error.problems]
        case _:
            return []


def _of_ninja(_request: HttpRequest, error: HttpError) -> HttpResponse:
    # Whatever reading a body raises, ninja makes an error of its own of it.
    if isinstance(error.__cause__, requests.RequestError):
        return problem_of(error.__cause__)
    return problem(error.status_code, "refused", str(error))


def _throttled(_request: HttpRequest, error: Throttled) -> HttpResponse:
    wait = "later" if error.wait is None else f"in {error.wait:.0f} s"
    detail = f"These were too many requests: try again {wait}."
    return _retry_after(problem(HTTPStatus.TOO_MANY_REQUESTS, "too_many_requests", detail), error.wait)


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
    error_id = str(uuid7())
    logger.error("Error %s at %s %s", error_id, request.method, request.path, exc_info=error)
    detail = f"Something is wrong here, not with your request. Tell the operator the error id {error_id}."
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", detail)
