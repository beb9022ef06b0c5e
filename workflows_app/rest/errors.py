"""Why a request was refused before it reached a use case."""

from collections.abc import Sequence
from typing import ClassVar

# What is wrong with a field: code, sentence, and the field's dotted path.
type FieldError = dict[str, object]


class RequestError(Exception):
    """Base of the refusals, with the status that HTTP has for them. Do not raise it directly."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "bad_request"


class Unauthenticated(RequestError):
    """Raised when nobody says who calls, or a token is no good."""

    status: ClassVar[int] = 401
    code: ClassVar[str] = "unauthenticated"

    def __init__(self) -> None:
        super().__init__(
            "The request has no valid credentials: send `Authorization: Bearer TOKEN` with a token of "
            "`manage.py create_token`, or log in."
        )


class InsufficientScope(RequestError):
    """Raised when a token is good, but not for this."""

    status: ClassVar[int] = 403
    code: ClassVar[str] = "insufficient_scope"

    def __init__(self, scope: str) -> None:
        super().__init__(f"The token does not have the scope '{scope}': use one that has it.")


class CsrfFailed(RequestError):
    """Raised when a browser's session is used without the proof that a page of this site sent the request."""

    status: ClassVar[int] = 403
    code: ClassVar[str] = "csrf_failed"

    def __init__(self) -> None:
        super().__init__("A request with a session needs the CSRF token: send it as the header X-CSRFToken.")


class ForeignOrigin(RequestError):
    """Raised when a page of another site sends a request that no page has to send."""

    status: ClassVar[int] = 403
    code: ClassVar[str] = "foreign_origin"

    def __init__(self) -> None:
        super().__init__("The request comes from a page of another site: send it from this one, or from a program.")


class UnknownPath(RequestError):
    """Raised when the API has nothing at a path."""

    status: ClassVar[int] = 404
    code: ClassVar[str] = "not_found"

    def __init__(self) -> None:
        super().__init__("There is nothing at this address: openapi.json lists what there is.")


class MethodNotAllowed(RequestError):
    """Raised when an address does not take a method."""

    status: ClassVar[int] = 405
    code: ClassVar[str] = "method_not_allowed"

    def __init__(self, method: str, allowed: str) -> None:
        super().__init__(f"This address does not take {method}: use {allowed}.")


class LengthRequired(RequestError):
    """Raised when a body comes in chunks without its length: it is not read on trust."""

    status: ClassVar[int] = 411
    code: ClassVar[str] = "length_required"

    def __init__(self) -> None:
        super().__init__("The body comes without a Content-Length: send its length.")


class BodyTooLarge(RequestError):
    """Raised when a body is longer than the operation takes."""

    status: ClassVar[int] = 413
    code: ClassVar[str] = "body_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body is larger than {limit} bytes, the limit of this operation: send less.")


class UnsupportedMedia(RequestError):
    """Raised when a body is of a kind that the operation does not read."""

    status: ClassVar[int] = 415
    code: ClassVar[str] = "unsupported_media_type"

    def __init__(self, media_type: str, supported: Sequence[str]) -> None:
        stated = f"'{media_type[:100]}'" if media_type else "not stated"
        super().__init__(f"The Content-Type is {stated}: send {' or '.join(supported)}.")


class InvalidRequest(RequestError):
    """Raised when a body, a parameter or a header does not have the shape that the operation asks for."""

    status: ClassVar[int] = 422
    code: ClassVar[str] = "invalid_request"

    def __init__(self, sentence: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(sentence)
        self.errors = list(errors)


class TooManyWatches(RequestError):
    """Raised when a user watches so much in a process that no more is taken."""

    status: ClassVar[int] = 429
    code: ClassVar[str] = "too_many_watches"

    def __init__(self, limit: int) -> None:
        super().__init__(f"You watch {limit} executions here already, which is the most: wait until one watch is over.")


class VersionRequired(RequestError):
    """Raised when a change does not say which version it means to change."""

    status: ClassVar[int] = 428
    code: ClassVar[str] = "version_required"

    def __init__(self) -> None:
        super().__init__(
            'The change does not say which version it is of: send the ETag that you got as `If-Match`, such as "3".'
        )
