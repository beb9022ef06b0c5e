"""An exception as it goes on record: a value with bounded, printable text."""

import traceback

import msgspec

from executions_app.engine.errors import ErrorInfo, NodeTimeoutError, SelfCancelledError, names_of
from workflows_app.dag.expressions import ExpressionError
from workflows_app.dag.plan import NodePlan
from workflows_app.processors.errors import NodeError, Retryable
from workflows_app.tools.masking import Mask

MESSAGE_LIMIT = 8 * 1024
TRACEBACK_LIMIT = 32 * 1024


def describe(error: BaseException, node: NodePlan, mask: Mask | None = None) -> ErrorInfo:
    """An exception as it goes on record, with the secrets of `mask` hidden."""
    kind = type(error)
    if isinstance(error, NodeError):
        code, retryable = error.code, error.retryable
    elif isinstance(error, ExpressionError):
        code, retryable = "expression_error", False
    else:
        code, retryable = "node_error", True
    info = ErrorInfo(
        code=code,
        message=printable(_masked(_text_of(error), mask) or f"{kind.__name__} without a message.", MESSAGE_LIMIT),
        type="ExpressionError" if isinstance(error, ExpressionError) else kind.__name__,
        node=node.key,
        traceback=_traceback(error, mask),
        bases=tuple(names_of(kind)),
        retryable=retryable,
        retry_after=error.retry_after or 0.0 if isinstance(error, Retryable) else 0.0,
    )
    broken_off = isinstance(error, NodeError) and error.outcome_unknown
    return with_unknown_outcome(info, node) if broken_off else info


def _text_of(error: BaseException) -> str:
    """An error's text is foreign code as well."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - as its own `__str__` pleases
        return ""


_UNKNOWN = "The outcome is unknown: verify at the receiver before you run it again."


def with_unknown_outcome(error: ErrorInfo, node: NodePlan) -> ErrorInfo:
    """An attempt that was interrupted may have had its effect: unless that may be repeated, it is not."""
    if node.effect.is_repeatable:
        return error
    return msgspec.structs.replace(error, message=f"{error.message} {_UNKNOWN}", retryable=False)


def cancelled_at_work(node: NodePlan) -> ErrorInfo | None:
    """What to tell of an attempt that was cancelled: nothing, unless it may have had an effect."""
    if node.effect.is_repeatable:
        return None
    return ErrorInfo(
        code="outcome_unknown",
        message=f"Node '{node.key}' was cancelled while it was at work. {_UNKNOWN}",
        type="OutcomeUnknown",
        node=node.key,
        retryable=False,
    )


def _masked(text: str, mask: Mask | None) -> str:
    # Before it is cut: a secret that is cut in two would be half on record.
    return text if mask is None else mask.text(text)


def _traceback(error: BaseException, mask: Mask | None) -> str:
    if isinstance(error, (NodeTimeoutError, SelfCancelledError, ExpressionError)):
        return ""
    # The first frame is the engine's own.
    frames = error.__traceback__.tb_next if error.__traceback__ else None
    text = "".join(traceback.format_exception(type(error), error, frames))
    return printable(_masked(text, mask), TRACEBACK_LIMIT, keep_end=True)


def printable(text: str, limit: int, *, keep_end: bool = False) -> str:
    """Text that every database and every JSON reader takes, cut to `limit` characters."""
    text = text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")
    if len(text) <= limit:
        return text
    return f"... {text[-limit:]}" if keep_end else f"{text[:limit]} ..."
