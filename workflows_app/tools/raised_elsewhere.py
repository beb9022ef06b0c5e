"""An error of another process, raised here as if it were our own: its class's name and bases, its text, its traceback.

Retry policies match names of classes and of their bases, and people read the text: both have to be those of the
original, whether or not its class is loaded here, and without calling a constructor that may want anything.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from workflows_app.tools.errors import NodeError, Retryable

_NOT_RAISED = (StopIteration, StopAsyncIteration)


def rebuilt(told: Mapping[str, Any], *, out_of_memory: str) -> BaseException:
    """The error that `child` described; a `MemoryError` says `out_of_memory` first."""
    message: str = told.get("message", "")
    kind = _class_of(told["class"])
    # A subclass too, such as NumPy's.
    if issubclass(kind, MemoryError):
        message = f"{out_of_memory} {message}".strip()
    attributes: dict[str, Any] = {
        "__str__": _saying(message),
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
    }
    if issubclass(kind, NodeError):
        attributes |= {name: told[name] for name in ("code", "retryable") if told.get(name) is not None}
    error = _blank(kind, told["class"], attributes)
    error.args = (message,)
    if isinstance(error, Retryable):
        error.retry_after = told.get("retry_after")
    if told.get("traceback"):
        error.add_note(f"In the process of the tool:\n{told['traceback']}")
    return error


def _blank(kind: type[BaseException], described: Sequence[Any], attributes: Mapping[str, Any]) -> BaseException:
    """An error like one of this class, without its constructor; of a class of the same names where that is no way."""
    try:
        alike = cast("type[BaseException]", type(kind.__name__, (kind,), dict(attributes)))
        return alike.__new__(alike)
    except Exception:  # noqa: BLE001 - an ExceptionGroup wants its errors; foreign classes want what they please
        alike = Exception
        for name in reversed(_names(described)):
            alike = cast("type[Exception]", type(name, (alike,), dict(attributes)))
        return alike()


def _names(described: Sequence[Any]) -> list[str]:
    """The names of a class and its bases, without those that every error has."""
    _module, qualname, _is_error, bases = described
    names = [qualname.rpartition(".")[2], *(name for base in bases for name in _names(base))]
    return [name for name in dict.fromkeys(names) if name != Exception.__name__]


def _saying(message: str) -> Callable[[BaseException], str]:
    def text(error: BaseException) -> str:
        del error
        return message

    return text


def _class_of(described: Sequence[Any]) -> type[BaseException]:
    """The class itself where this process has it, else one with its name and its bases."""
    module, qualname, is_error, bases = described
    found: Any = sys.modules.get(module)
    for name in qualname.split("."):
        found = getattr(found, name, None)
    # A StopIteration cannot pass through a coroutine, and what is no Exception means something to the event loop.
    if isinstance(found, type) and issubclass(found, Exception) and not issubclass(found, _NOT_RAISED):
        return found
    known = tuple(_class_of(base) for base in bases if base[2]) if is_error else ()
    return cast("type[BaseException]", type(qualname.rpartition(".")[2], known or (Exception,), {"__module__": module}))
