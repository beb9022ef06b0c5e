"""The log lines of this process, without the secrets that its nodes use."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, override

if TYPE_CHECKING:
    from workflows_app.tools.masking import Mask

# Lines come late: of tasks that were let go, of errors that nobody fetched. So many masks are remembered for them.
_REMEMBERED = 64


class _Masks:
    """The masks that are in use, and the last ones that were. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._users: dict[Mask, int] = {}
        self._past: OrderedDict[Mask, None] = OrderedDict()
        self.all: tuple[Mask, ...] = ()

    def begin(self, mask: Mask) -> None:
        with self._lock:
            self._users[mask] = self._users.get(mask, 0) + 1
            _ = self._past.pop(mask, None)
            self.all = (*self._users, *self._past)

    def end(self, mask: Mask) -> None:
        with self._lock:
            self._users[mask] -= 1
            if self._users[mask]:
                return
            del self._users[mask]
            self._past[mask] = None
            if len(self._past) > _REMEMBERED:
                _ = self._past.popitem(last=False)
            self.all = (*self._users, *self._past)


_masks = _Masks()


@contextmanager
def in_use(mask: Mask) -> Generator[None]:
    """What the mask hides is in no log line of this process while this lasts, and for a while after."""
    if mask.is_empty:
        yield
        return
    _masks.begin(mask)
    try:
        yield
    finally:
        _masks.end(mask)


class MaskSecrets(logging.Filter):
    """Masks the records of a handler: message, arguments, traceback, and what was added as `extra`.

    To be named in the `filters` of every handler of `LOGGING`.
    """

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        masks = _masks.all
        if masks:
            _mask(record, masks)
        return True


def _mask(record: logging.LogRecord, masks: tuple[Mask, ...]) -> None:
    written = _message(record)
    if (shown := _hidden(written, masks)) != written:
        record.msg, record.args = shown, None
    if record.exc_info and not record.exc_text:
        told = logging.Formatter().formatException(record.exc_info)
        # The error itself is kept where it tells nothing: some handlers want it.
        if (shown := _hidden(told, masks)) != told:
            record.exc_info, record.exc_text = None, shown
    for name, value in list(vars(record).items()):
        if isinstance(value, str) and name != "msg":
            setattr(record, name, _hidden(value, masks))


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - arguments that do not fit, or that cannot be written
        # The handler will say so, with all that it was given.
        return f"{record.msg} {record.args!r}"


def _hidden(text: str, masks: tuple[Mask, ...]) -> str:
    for mask in masks:
        text = mask.text(text)
    return text
