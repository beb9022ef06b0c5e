"""How often something may happen in a minute. The counts live in Django's cache: what shares that shares the limits."""

import hashlib
import logging
import math
import time
from collections.abc import Callable
from time import monotonic

from django.core.cache import cache

from workflows_app.conf import workflow_settings
from workflows_app.services.errors import TooManyRequests, TooManyWrongCredentials

logger = logging.getLogger(__name__)

MINUTE = 60
# A token that was good at an address is taken from there for so long, though others are guessed.
KNOWN_SECONDS = 3600
# A cache that refuses at once is asked again at once; after an error that took longer it rests.
LONG_SECONDS = 0.3
REST_SECONDS = 5.0
_rest_until = 0.0


def spend_request(who: str) -> None:
    """Count a request. Raises `TooManyRequests` where the caller's are used up for this minute."""
    if _count(f"requests:{who}") > workflow_settings().requests_per_minute:
        raise TooManyRequests(_rest_of_minute())


def note_wrong_credential(address: str, token: str | None = None) -> None:
    """Count a wrong password, or a wrong token; the same token again is no other guess."""
    if token is None or is_first_of_minute(f"guess:{address}:{_digest(token)}"):
        _ = _count(f"guesses:{address}")


def note_good_token(address: str, token: str) -> None:
    _ = _asked(lambda: cache.set(_known(address, token), 1, KNOWN_SECONDS), None)


def refuse_guessing(address: str, token: str | None = None) -> None:
    """Raise `TooManyWrongCredentials` after too many from an address; a token that was good there is no guess."""
    guesses: int = _asked(lambda: cache.get(_this_minute(f"guesses:{address}"), 0), 0)
    if guesses < workflow_settings().wrong_credentials_per_minute:
        return
    if token is None or _asked(lambda: cache.get(_known(address, token)), None) is None:
        raise TooManyWrongCredentials(_rest_of_minute())


def is_first_of_minute(what: str) -> bool:
    """True once a minute."""
    return _count(what) == 1


def _count(what: str) -> int:
    """How often it happened in this minute, this time included."""
    key = _this_minute(what)
    return _asked(lambda: 1 if cache.add(key, 1, 2 * MINUTE) else cache.incr(key), 1)


def _asked[T](ask: Callable[[], T], otherwise: T) -> T:
    """What the cache answers. One that does not is no reason to refuse anybody: then nothing is limited.

    Nor to keep anybody waiting: one that let somebody wait is left alone for a moment.
    """
    global _rest_until
    began = monotonic()
    if began < _rest_until:
        return otherwise
    try:
        return ask()
    except Exception as error:  # noqa: BLE001 - each kind of cache has errors of its own
        logger.warning("The cache does not answer, so that nothing is limited: %s", error)
        if monotonic() - began > LONG_SECONDS:
            _rest_until = monotonic() + REST_SECONDS
        return otherwise


def _this_minute(what: str) -> str:
    return f"pastetrader:{what}:{int(time.time()) // MINUTE}"


def _known(address: str, token: str) -> str:
    return f"pastetrader:known:{address}:{_digest(token)}"


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _rest_of_minute() -> int:
    """In whole seconds, at least one."""
    return math.ceil(MINUTE - time.time() % MINUTE) or 1
