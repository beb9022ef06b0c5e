"""The tools that need nothing: pass values on, wait, fail, write to the journal."""

import asyncio
import builtins
import keyword
from decimal import Decimal

from workflows_app.tools.context import LogLevel, ToolContext
from workflows_app.tools.errors import NodeInputError, ToolFailed
from workflows_app.tools.registry import tool

# Exceptions that cannot be made from a message, or that mean something to the interpreter when they pass.
_NOT_RAISED = frozenset(
    {
        "BaseExceptionGroup",
        "ExceptionGroup",
        "StopAsyncIteration",
        "StopIteration",
        "UnicodeDecodeError",
        "UnicodeEncodeError",
        "UnicodeTranslateError",
    }
)


@tool("core.set", effect="none")
async def set_values(**values: object) -> dict[str, object]:
    """Return the inputs as they are."""
    return values


@tool("core.sleep", effect="none")
async def sleep(seconds: int | Decimal) -> dict[str, int | Decimal]:
    """Wait for so many seconds, fractions allowed, and return them as `slept`."""
    if seconds < 0:
        raise NodeInputError("The input 'seconds' of tool 'core.sleep' is negative: use 0 or more.")
    await asyncio.sleep(float(seconds))
    return {"slept": seconds}


@tool("core.fail", effect="none")
async def fail(
    context: ToolContext,
    message: str = "This node is made to fail.",
    type: str = "ToolFailed",  # noqa: A002 - the input's public name
    times: int | None = None,
) -> dict[str, int]:
    """Fail with an error of a given class name: always, or the first so many `times`, then return the `attempt`.

    The name of a built-in exception raises that class, so that `retry_on` also knows its bases.
    """
    error = _error_class(type)
    if times is not None and times < 0:
        raise NodeInputError("The input 'times' of tool 'core.fail' is negative: use 0 or more, or null for always.")
    if times is None or context.number <= times:
        raise error(message)
    return {"attempt": context.number}


@tool("core.log", effect="none")
async def log(context: ToolContext, message: str, level: LogLevel = "info") -> dict[str, str]:
    """Write a message to the execution's journal and return it."""
    context.log(message, level)
    return {"message": message}


def _error_class(name: str) -> type[Exception]:
    if not name.isidentifier() or keyword.iskeyword(name):
        raise NodeInputError(
            "The input 'type' of tool 'core.fail' is no name of a class: use letters, digits and underscores."
        )
    if name == ToolFailed.__name__:
        return ToolFailed
    known = getattr(builtins, name, None)
    if isinstance(known, type) and issubclass(known, Exception) and name not in _NOT_RAISED:
        return known
    return type(name, (ToolFailed,), {})
