"""System checks of this app's settings."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, cast

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, register

from executions_app.conf import execution_settings
from workflows_app.checks import not_positive
from workflows_app.dag.jsontext import MAX_DEPTH
from workflows_app.tools.http.addresses import AllowedHost, AllowedHostError

_FUNCTION = re.compile(r"[\w.]+:[\w.]+")
POSITIVE_NUMBERS = (
    "CANCEL_GRACE_SECONDS",
    "CANCEL_POLL_SECONDS",
    "CONCURRENCY",
    "HEARTBEAT_SECONDS",
    "HTTP_CONNECTIONS",
    "HTTP_CONNECT_SECONDS",
    "HTTP_HEADERS",
    "HTTP_HEADER_BYTES",
    "HTTP_JSON_DEPTH",
    "HTTP_RESPONSE_BYTES",
    "HTTP_TIMEOUT_SECONDS",
    "LEASE_SECONDS",
    "MAX_EXECUTION_BYTES",
    "MAX_OUTPUT_BYTES",
    "MAX_PENDING_EXECUTIONS",
    "SCAN_SECONDS",
    "SOCKETS_PER_USER",
    "PROCESS_CPU_SECONDS",
    "PROCESS_MEMORY_BYTES",
    "TOOL_THREADS",
)


def check_limits(app_configs: Any, **_kwargs: Any) -> Sequence[CheckMessage]:
    del app_configs
    return not_positive(POSITIVE_NUMBERS)


def check_lease(app_configs: Any, **_kwargs: Any) -> Sequence[CheckMessage]:
    del app_configs
    if check_limits(None):
        return []
    chosen = execution_settings()
    if chosen.heartbeat_seconds * 3 <= chosen.lease_seconds:
        return []
    return [
        Error(
            f"PASTETRADER['HEARTBEAT_SECONDS'] is {chosen.heartbeat_seconds:g} and a lease lasts "
            f"{chosen.lease_seconds:g} s: two heartbeats that fail would cost an engine its runs.",
            hint="Let LEASE_SECONDS be at least three times HEARTBEAT_SECONDS.",
            id="pastetrader.E005",
        )
    ]


def check_process_setup(app_configs: Any, **_kwargs: Any) -> Sequence[CheckMessage]:
    del app_configs
    configured = getattr(settings, "PASTETRADER", {})
    function, names = configured.get("PROCESS_SETUP"), configured.get("PROCESS_ENVIRONMENT", ())
    found: list[CheckMessage] = []
    if function is not None and not (isinstance(function, str) and _FUNCTION.fullmatch(function)):
        found.append(
            Error(
                f"PASTETRADER['PROCESS_SETUP'] is {function!r}.",
                hint="Name a function as 'module:function', such as 'django:setup', or leave the setting out.",
                id="pastetrader.E003",
            )
        )
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        found.append(
            Error(
                f"PASTETRADER['PROCESS_ENVIRONMENT'] is {names!r}.",
                hint="List names of environment variables, such as ['DATABASE_URL'], or leave the setting out.",
                id="pastetrader.E004",
            )
        )
    return found


def check_shell_programs(app_configs: Any, **_kwargs: Any) -> Sequence[CheckMessage]:
    del app_configs
    configured: object = getattr(settings, "PASTETRADER", {}).get("SHELL_PROGRAMS") or {}
    hint = "Map names to absolute paths, such as {'convert': '/usr/bin/convert'}, or leave the setting out."
    if not isinstance(configured, Mapping):
        return [Error(f"PASTETRADER['SHELL_PROGRAMS'] is {configured!r}.", hint=hint, id="pastetrader.E030")]
    found: list[CheckMessage] = []
    for name, path in cast("Mapping[object, object]", configured).items():
        if not (isinstance(name, str) and name and isinstance(path, str | Path) and Path(path).is_absolute()):
            sentence = f"PASTETRADER['SHELL_PROGRAMS'] has {name!r}: {path!r}."
            found.append(Error(sentence, hint=hint, id="pastetrader.E030"))
        elif not os.access(path, os.X_OK) or not Path(path).is_file():
            found.append(
                checks.Warning(
                    f"PASTETRADER['SHELL_PROGRAMS'] names {path} as '{name}', which is no program here.",
                    hint="Install it, or correct its path; nodes that run it fail until then.",
                    id="pastetrader.W030",
                )
            )
    return found


def check_http(app_configs: Any, **_kwargs: Any) -> Sequence[CheckMessage]:
    del app_configs
    configured = getattr(settings, "PASTETRADER", {})
    hosts, ca_file, depth = configured.get("HTTP_ALLOWED_HOSTS", ()), configured.get("HTTP_CA_FILE"), "HTTP_JSON_DEPTH"
    found: list[CheckMessage] = []
    for entry in [hosts] if isinstance(hosts, str) or not isinstance(hosts, Iterable) else hosts:
        problem = _problem_of_host(entry) if entry is not hosts else f"It is {hosts!r}, which is no list."
        if problem is not None:
            found.append(
                Error(
                    f"PASTETRADER['HTTP_ALLOWED_HOSTS'] cannot be used. {problem}",
                    hint="List what workflows may call besides public hosts, each entry as docs/http.md says.",
                    id="pastetrader.E010",
                )
            )
    if ca_file is not None and not Path(ca_file).is_file():
        found.append(
            Error(
                f"PASTETRADER['HTTP_CA_FILE'] is {ca_file!r}, which is not a file.",
                hint="Name a PEM file with certificate authorities, or leave the setting out.",
                id="pastetrader.E011",
            )
        )
    if isinstance(configured.get(depth), int) and configured[depth] > MAX_DEPTH:
        found.append(
            Error(
                f"PASTETRADER['{depth}'] is {configured[depth]}.",
                hint=f"No JSON is read that has more than {MAX_DEPTH} levels: set less, or leave the setting out.",
                id="pastetrader.E006",
            )
        )
    return found


def _problem_of_host(entry: object) -> str | None:
    try:
        _ = AllowedHost.parse(str(entry))
    except AllowedHostError as error:
        return str(error)
    return None if isinstance(entry, str) else f"{entry!r} is no text."


_BUDGET_KEYS = ("max_requests", "max_tokens", "max_cost")


def check_agent_budget(app_configs: Any, **_kwargs: Any) -> Sequence[CheckMessage]:
    del app_configs
    configured: object = getattr(settings, "PASTETRADER", {}).get("AGENT_BUDGET")
    if configured is None:
        return []
    wrong = f"It is {configured!r}."
    if isinstance(configured, Mapping):
        given = cast("Mapping[object, object]", configured)
        wrong = next((f"It has {key!r}: {value!r}." for key, value in given.items() if not _is_cap(key, value)), "")
    if not wrong:
        return []
    return [
        Error(
            f"PASTETRADER['AGENT_BUDGET'] cannot be used. {wrong}",
            hint="Give 'max_requests' and 'max_tokens' as whole numbers greater than 0, 'max_cost' as text or Decimal, "
            "such as {'max_tokens': 200_000, 'max_cost': '2.50'}, or leave the setting out.",
            id="pastetrader.E050",
        )
    ]


def _is_cap(key: object, value: object) -> bool:
    """A float is none: it would be an amount that nobody wrote."""
    if key not in _BUDGET_KEYS or isinstance(value, bool):
        return False
    if key != "max_cost":
        return value is None or (isinstance(value, int) and value > 0)
    try:
        return value is None or (isinstance(value, str | int | Decimal) and 0 < Decimal(value) < Decimal("Infinity"))
    except InvalidOperation:
        return False


def register_checks() -> None:
    _ = register(check_limits)
    _ = register(check_lease)
    _ = register(check_process_setup)
    _ = register(check_shell_programs)
    _ = register(check_http)
    _ = register(check_agent_budget)
