"""What the libraries of the models raise, as one of our errors."""

import math
from typing import TYPE_CHECKING, cast

from workflows_app.agents.errors import ModelAnswerError, ModelBusy, ModelRefused, ModelUnavailable

if TYPE_CHECKING:
    from pydantic_ai.exceptions import ModelAPIError

# These come in the name of a connection that was never made.
_UNSENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout"})
_BROKEN = "The provider cannot be reached, or the connection to it broke."


def told(error: Exception) -> Exception:
    """A failure as one of ours. Its sentence is ours, too, but for what the provider itself says."""
    from pydantic_ai import exceptions as foreign  # noqa: PLC0415 - as in models.load

    match error:
        case foreign.ModelQuotaExceededError():
            found = ModelRefused(f"The account at the provider has no money or quota left.{_said(error)}")
        case foreign.ModelHTTPError(status_code=429) | foreign.ModelRateLimitError():
            found = ModelBusy(f"The provider wants fewer requests (429).{_said(error)}", retry_after=_wait(error))
        case foreign.ModelHTTPError(status_code=status) if status >= 500 or status in (408, 409):
            sentence = f"The provider failed with status {status}.{_said(error)}"
            found = ModelUnavailable(sentence, retry_after=_wait(error))
            found.unanswered = False
        case foreign.ModelHTTPError(status_code=status):
            found = ModelRefused(f"The provider refused the request with status {status}.{_said(error)}")
        case foreign.ModelConnectionError() | foreign.ModelRequestTimeout():
            found = ModelUnavailable(_BROKEN)
            found.used_nothing = _is_unsent(error)
        case foreign.ModelAPIError() if _is_of_the_connection(error.__cause__):
            found = ModelUnavailable(_BROKEN)
            found.used_nothing = _is_unsent(error)
        case foreign.ModelAPIError(in_stream=True):
            found = ModelUnavailable(f"The provider failed in the middle of its answer.{_said(error)}")
            found.unanswered = False
        case _ if _is_of_the_connection(error):
            found = ModelUnavailable(_BROKEN)
        case _:
            return ModelAnswerError(f"What the provider sent is no answer of a model ({type(error).__name__}).")
    if isinstance(error, foreign.ModelAPIError) and error.in_stream:
        # What came before was paid for.
        found.used_nothing = False
    return found


def _is_unsent(error: BaseException | None) -> bool:
    while error is not None:
        if type(error).__name__ in _UNSENT:
            return True
        error = error.__cause__ or error.__context__
    return False


def _is_of_the_connection(error: BaseException | None) -> bool:
    name = type(error).__name__
    return "Connection" in name or "Timeout" in name or name in ("ReadError", "WriteError", "RemoteProtocolError")


def _wait(error: "ModelAPIError") -> float | None:
    """The seconds that the provider asks to wait, where they are such."""
    seconds = error.retry_after
    return seconds if seconds is not None and 0 <= seconds < math.inf else None


def _said(error: object) -> str:
    """The provider's own sentence, where it has one."""
    message = _field(error, "body")
    for key in ("error", "message") if isinstance(_field(message, "error"), dict) else ("message",):
        message = _field(message, key)
    return f" It says: {message[:300]}" if isinstance(message, str) and message else ""


def _field(value: object, key: str) -> object:
    return cast("dict[object, object]", value).get(key) if isinstance(value, dict) else getattr(value, key, None)
