"""System checks of what several processes share: a dispatcher, a database, a channel layer, a cache."""

import re
from collections.abc import Sequence
from typing import Any, cast

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, register
from django.utils.module_loading import import_string

from executions_app.conf import INLINE, execution_settings
from executions_app.dispatch.chosen import DISPATCHERS

_SHAPE = ("capabilities", "send", "serve")


def check_dispatch(app_configs: Any, **_kwargs: Any) -> Sequence[CheckMessage]:
    del app_configs
    chosen = _chosen()
    if chosen == INLINE:
        return []
    found = [_error_of(chosen), _database_error(chosen)]
    if chosen == "celery" and not _has_broker():
        found.append(
            Error(
                "PASTETRADER['DISPATCH'] is 'celery', and no broker is named: jobs have nowhere to go.",
                hint="Set CELERY_BROKER_URL, such as redis://127.0.0.1:6379/1, or PASTETRADER['CELERY_APP'].",
                id="pastetrader.E063",
            )
        )
    return [one for one in found if one is not None]


def _has_broker() -> bool:
    """Of the adapter nothing can be imported where Celery is not installed."""
    chosen = execution_settings()
    return bool(chosen.celery_app or chosen.celery_broker)


def _chosen() -> object:
    return getattr(settings, "PASTETRADER", {}).get("DISPATCH") or INLINE


def _error_of(chosen: object) -> Error | None:
    """What keeps it from being loaded, or from being a dispatcher."""
    known = ", ".join(f"'{name}'" for name in DISPATCHERS)
    sentence = f"PASTETRADER['DISPATCH'] is {chosen!r}, which is no dispatcher."
    hint = f"Say one of {known}, or the path of a class."
    if isinstance(chosen, str) and (chosen in DISPATCHERS or "." in chosen):
        try:
            kind = import_string(DISPATCHERS.get(chosen, chosen))
        except Exception as error:  # noqa: BLE001 - whatever a module raises that is loaded
            sentence = f"PASTETRADER['DISPATCH'] is {chosen!r}, which cannot be loaded: {error}"
            if chosen in DISPATCHERS:
                hint = f"Install what it needs: uv sync --extra postgresql --extra {chosen}"
        else:
            if all(hasattr(kind, name) for name in _SHAPE):
                return None
    return Error(sentence, hint=hint, id="pastetrader.E060")


def _database_error(chosen: object) -> Error | None:
    if not _is_sqlite():
        return None
    return Error(
        f"PASTETRADER['DISPATCH'] is {chosen!r}, and the database is SQLite: workers of other hosts cannot share it.",
        hint="Set DATABASE_URL to a PostgreSQL, or leave DISPATCH at 'inline': run_worker works on SQLite as well.",
        id="pastetrader.E061",
    )


def check_queues(app_configs: Any, **_kwargs: Any) -> Sequence[CheckMessage]:
    del app_configs
    configured: object = getattr(settings, "PASTETRADER", {}).get("QUEUES")
    names = cast("Sequence[object]", configured) if isinstance(configured, list | tuple) else None
    if not configured or (names and all(_is_queue(name) for name in names)):
        return []
    return [
        Error(
            f"PASTETRADER['QUEUES'] is {configured!r}.",
            hint="List names of queues in small letters, digits, - and _, such as ['default', 'cpu'], or leave the "
            "setting out, for all.",
            id="pastetrader.E064",
        )
    ]


def _is_queue(name: object) -> bool:
    # Its module takes a while to load, and most processes name no queues.
    from workflows_app.dag.document import MAX_QUEUE_LENGTH, QUEUE_PATTERN  # noqa: PLC0415

    return isinstance(name, str) and len(name) <= MAX_QUEUE_LENGTH and re.fullmatch(QUEUE_PATTERN, name) is not None


def check_shared_parts(app_configs: Any, **_kwargs: Any) -> Sequence[CheckMessage]:
    """For deployments: who takes PostgreSQL means several processes, and who takes a dispatcher has them."""
    del app_configs
    is_distributed = _chosen() != INLINE
    if _is_sqlite() and not is_distributed:
        return []
    found: list[CheckMessage] = []
    if "InMemory" in settings.CHANNEL_LAYERS["default"]["BACKEND"]:
        sentence = "The channel layer is in memory: a process hears nothing of what happens in another one."
        hint = "Set REDIS_URL, or CHANNEL_LAYERS, to one that they share."
        found.append(
            Error(f"{sentence} With this DISPATCH all runs are another one's.", hint=hint, id="pastetrader.E062")
            if is_distributed
            else checks.Warning(sentence, hint=hint, id="pastetrader.W002")
        )
    if "locmem" in settings.CACHES["default"]["BACKEND"]:
        found.append(
            checks.Warning(
                "The default cache is in memory: each process counts requests and wrong passwords for itself.",
                hint="Set REDIS_URL, or CACHES, to one that they share.",
                id="pastetrader.W003",
            )
        )
    if is_distributed and getattr(settings, "PASTETRADER", {}).get("ENGINE_IN_ASGI"):
        found.append(
            checks.Warning(
                f"Processes that serve the site run executions as well, before workers get word by {_chosen()!r}.",
                hint="Leave ENGINE_IN_ASGI out, or say 'inline' as DISPATCH.",
                id="pastetrader.W060",
            )
        )
    return found


def _is_sqlite() -> bool:
    return "sqlite3" in settings.DATABASES["default"]["ENGINE"]


def register_checks() -> None:
    _ = register(check_dispatch)
    _ = register(check_queues)
    _ = register(check_shared_parts, deploy=True)
