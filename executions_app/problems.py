"""Every refusal as a problem (RFC 9457), whichever interface it is told over."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

from uuid_utils import uuid7

from executions_app.services import errors as runs
from workflows_app.dag import jsontext
from workflows_app.dag.problems import errors_of
from workflows_app.models.pages import InvalidCursor
from workflows_app.rest import errors as requests
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
    definitions.SiteNameTaken: 409,
    definitions.SiteConflict: 409,
    definitions.SitePermission: 403,
    definitions.RegisteredTool: 409,
    definitions.AgentNotFound: 404,
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
# What is a refusal, and no mistake of ours.
REFUSALS: tuple[type[Exception], ...] = (requests.RequestError, *STATUS)
# Errors that are no domain errors and have no code of their own.
_CODES = {UnknownTool: "not_found", jsontext.JsonError: "invalid_request", InvalidCursor: "invalid_cursor"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """`code` is for machines, `detail` a sentence for people, `errors` says what is wrong where."""

    status: int
    code: str
    detail: str
    errors: Sequence[FieldError] = ()
    # Seconds until it is worth another try.
    retry_after: float | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "errors": list(self.errors),
        }


def problem_of(error: Exception) -> Problem:
    """What one of `REFUSALS` says."""
    if isinstance(error, requests.RequestError):
        errors = error.errors if isinstance(error, requests.InvalidRequest) else ()
        return Problem(status=error.status, code=error.code, detail=str(error), errors=errors)
    kind = next(kind for kind in type(error).__mro__ if kind in STATUS)
    return Problem(
        status=STATUS[kind],
        code=_CODES.get(kind) or cast(str, cast(Any, error).code),
        detail=str(error),
        errors=_errors_of(error),
        retry_after=getattr(error, "retry_after", None),
    )


def mistake(error: Exception, where: str) -> Problem:
    """What is told of an error of ours: the id under which the server's log has it."""
    error_id = str(uuid7())
    logger.error("Error %s at %s", error_id, where, exc_info=error)
    detail = f"Something is wrong here, not with your request. Tell the operator the error id {error_id}."
    return Problem(status=HTTPStatus.INTERNAL_SERVER_ERROR, code="internal_error", detail=detail)


def _errors_of(error: Exception) -> list[FieldError]:
    match error:
        case definitions.InvalidDefinition():
            return [found.as_json() for found in errors_of(error.problems)]
        case definitions.InvalidSitePart():
            return [{"code": error.code, "message": one.message, "field": one.field} for one in error.mistakes]
        case runs.InvalidInput():
            return [{"code": error.code, "message": sentence, "field": field} for field, sentence in error.problems]
        case _:
            return []
