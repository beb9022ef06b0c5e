"""How an HTTP call fails. Retry policies know these classes by their names.

No message holds more of a request than its method and host: the rest, and every answer, may be secret.
"""

from typing import ClassVar

from workflows_app.tools.errors import Retryable


class HttpError(Retryable):
    """Base of the failures of `http.request`; those that no repetition mends say so. Do not raise it directly."""

    code: ClassVar[str] = "http_error"


class HttpForbidden(HttpError):
    """Raised before anything is sent to an address that no workflow may reach."""

    code: ClassVar[str] = "http_forbidden"
    retryable: ClassVar[bool] = False


class HttpConnectError(HttpError):
    """Raised when there is no such host, or no connection to it: nothing was sent."""

    code: ClassVar[str] = "http_connect"


class HttpTimeout(HttpError):
    """Raised when the answer did not come in time."""

    code: ClassVar[str] = "http_timeout"


class HttpBroken(HttpError):
    """Raised when the connection ended before the answer did, or gave something that is not HTTP."""

    code: ClassVar[str] = "http_broken"


class HttpResponseError(HttpError):
    """Raised for an answer that came and cannot be used: it would be the same again."""

    code: ClassVar[str] = "http_response"
    retryable: ClassVar[bool] = False


class HttpTooLarge(HttpResponseError):
    """Raised for an answer that is larger than the limits allow; it is not read to its end."""

    code: ClassVar[str] = "http_too_large"


class HttpStatusError(HttpError):
    """Raised for a status that is not among the expected ones."""

    code: ClassVar[str] = "http_status"
    retryable: ClassVar[bool] = False


class HttpClientError(HttpStatusError):
    """Raised for 400 to 499: the request is wrong."""


class HttpTryAgain(HttpClientError):
    """Raised for 408, 425 and 429: the request came at the wrong time."""

    retryable: ClassVar[bool] = True


class HttpServerError(HttpStatusError):
    """Raised for 500 and above."""

    retryable: ClassVar[bool] = True
