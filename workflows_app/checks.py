"""System checks of this app's settings."""

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, register
from django.db import DatabaseError

from workflows_app import plugins
from workflows_app.agents.prices import PriceSettingError
from workflows_app.agents.providers import ProviderSettingError
from workflows_app.conf import current_prices, current_providers, current_rates, current_servers, workflow_settings
from workflows_app.dag.jsontext import MAX_DEPTH
from workflows_app.models import Credential
from workflows_app.services.vault import NEW_KEY, is_key
from workflows_app.tools.market.sources import SourceSettingError, source_of
from workflows_app.tools.market.tables import CsvSource
from workflows_app.tools.mcp.servers import ServerSettingError
from workflows_app.tools.rates import RateError

POSITIVE_NUMBERS = (
    "MAX_BODY_BYTES",
    "MAX_DOCUMENT_BYTES",
    "MAX_EDGES",
    "MAX_JSON_DEPTH",
    "MAX_NODES",
    "REQUESTS_PER_MINUTE",
    "WRONG_CREDENTIALS_PER_MINUTE",
)


def check_market_source(app_configs: Any, **_kwargs: Any) -> Sequence[CheckMessage]:
    del app_configs
    configured = getattr(settings, "PASTETRADER", {})
    given = [name for name in ("MARKET_SOURCE", "MARKET_DATA") if configured.get(name)]
    if len(given) > 1:
        return [
            Error(
                "PASTETRADER has both MARKET_SOURCE and MARKET_DATA.",
                hint="MARKET_DATA names a CSV file for short: leave one of them out.",
                id="pastetrader.E001",
            )
        ]
    try:
        source = source_of(workflow_settings().market_source)
    except SourceSettingError as error:
        hint = "Say {'csv': path} or {'http': {...}} as docs/market.md describes, or leave the setting out."
        return [
            Error(f"PASTETRADER['MARKET_SOURCE'] names no source of prices. {error}", hint=hint, id="pastetrader.E001")
        ]
    if not isinstance(source, CsvSource) or source.path.is_file():
        return []
    return [
        Error(
            f"PASTETRADER['{given[0]}'] is {source.path}, which is not a file.",
            hint="Name a CSV file with the columns Ticker, Date and Close, or leave the setting out.",
            id="pastetrader.E001",
        )
    ]


def check_agent_providers(app_configs: Any, **_kwargs: Any) -> Sequence[CheckMessage]:
    del app_configs
    try:
        _ = current_providers()
    except ProviderSettingError as error:
        return [
            Error(
                f"PASTETRADER['AGENT_PROVIDERS'] or ['AGENT_PROVIDER'] cannot be used. {error}",
                hint="Describe providers as docs/agents.md does, or leave the settings out.",
                id="pastetrader.E033",
            )
        ]
    return []


def check_mcp_servers(app_configs: Any, **_kwargs: Any) -> Sequence[CheckMessage]:
    del app_configs
    try:
        servers = current_servers()
    except ServerSettingError as error:
        return [
            Error(
                f"PASTETRADER['MCP_SERVERS'] cannot be used. {error}",
                hint="Describe servers as docs/mcp-client.md does, or leave the setting out.",
                id="pastetrader.E035",
            )
        ]
    return [
        checks.Warning(
            f"PASTETRADER['MCP_SERVERS'] names {server.command[0]} for '{name}', which is no program here.",
            hint="Install it, or correct its path; nodes that call its tools fail until then.",
            id="pastetrader.W035",
        )
        for name, server in servers.items()
        if server.command and not (os.access(server.command[0], os.X_OK) and Path(server.command[0]).is_file())
    ]


def check_agent_prices(app_configs: Any, **_kwargs: Any) -> Sequence[CheckMessage]:
    del app_configs
    try:
        _ = current_prices()
    except PriceSettingError as error:
        return [
            Error(
                f"PASTETRADER['AGENT_PRICES'] cannot be used. {error}",
                hint="Write {'PROVIDER/MODEL': {'input': '2.50', 'output': '10'}}, per million tokens, or leave the "
                "setting out.",
                id="pastetrader.E034",
            )
        ]
    return []


def check_tool_rates(app_configs: Any, **_kwargs: Any) -> Sequence[CheckMessage]:
    del app_configs
    try:
        _ = current_rates()
    except RateError as error:
        return [
            Error(
                f"PASTETRADER['TOOL_RATES'] cannot be used. {error}",
                hint="Write {'http.request': '20/s'}, as docs/rates.md describes, None for a tool that is to have no "
                "rate, or leave the setting out.",
                id="pastetrader.E036",
            )
        ]
    return []


def check_demo(app_configs: Any, **_kwargs: Any) -> Sequence[CheckMessage]:
    del app_configs
    path = workflow_settings().demo
    if path is None or path.is_dir():
        return []
    return [
        Error(
            f"PASTETRADER['DEMO'] is {path}, which is not a folder.",
            hint="Name a folder with workflow documents (*.yaml), or leave the setting out.",
            id="pastetrader.E007",
        )
    ]


def check_plugins(app_configs: Any, **_kwargs: Any) -> Sequence[CheckMessage]:
    """Warnings: an error would keep every command from running, workers included."""
    del app_configs
    of_tools = "Nodes that use them fail as with any unknown tool. Mend the plug-in, or remove it."
    of_processors = "Its nodes are refused until then. Mend the plug-in, or remove it."
    return [
        checks.Warning(problem.sentence, hint=of_tools, id="pastetrader.W031")
        if problem.group == plugins.TOOLS
        else checks.Warning(problem.sentence, hint=of_processors, id="pastetrader.W032")
        for problem in plugins.problems
    ]


def not_positive(names: Iterable[str]) -> Sequence[CheckMessage]:
    """An error for each of these settings that is something else than a positive number."""
    configured = getattr(settings, "PASTETRADER", {})
    return [
        Error(
            f"PASTETRADER['{name}'] is {configured[name]!r}.",
            hint="Set a number greater than 0, or leave the setting out.",
            id="pastetrader.E002",
        )
        for name in names
        if name in configured
        and (
            isinstance(configured[name], bool)
            or not isinstance(configured[name], (int, float))
            or not configured[name] > 0
        )
    ]


def check_sizes(app_configs: Any, **_kwargs: Any) -> Sequence[CheckMessage]:
    del app_configs
    if wrong := not_positive(POSITIVE_NUMBERS):
        return wrong
    chosen, found = workflow_settings(), list[CheckMessage]()
    longest = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    if longest is not None and longest < max(chosen.document_bytes, chosen.body_bytes):
        found.append(
            checks.Warning(
                f"Django reads no body above DATA_UPLOAD_MAX_MEMORY_SIZE, which is {longest} bytes, and "
                f"documents may have {chosen.document_bytes}.",
                hint="Set DATA_UPLOAD_MAX_MEMORY_SIZE to the longest of PASTETRADER['MAX_DOCUMENT_BYTES'] and "
                "['MAX_BODY_BYTES'].",
                id="pastetrader.W001",
            )
        )
    if chosen.json_depth > MAX_DEPTH:
        found.append(
            Error(
                f"PASTETRADER['MAX_JSON_DEPTH'] is {chosen.json_depth}.",
                hint=f"No JSON is read that has more than {MAX_DEPTH} levels: set less, or leave the setting out.",
                id="pastetrader.E006",
            )
        )
    return found


def check_credential_keys(app_configs: Any, **_kwargs: Any) -> Sequence[CheckMessage]:
    del app_configs
    keys = workflow_settings().credential_keys
    # Never the keys themselves: what a check says goes to logs.
    wrong = [str(position) for position, key in enumerate(keys, 1) if not is_key(key)]
    if not wrong:
        return []
    return [
        Error(
            f"PASTETRADER['CREDENTIAL_KEYS'] has {len(keys)} keys, of which no. {', '.join(wrong)} is none.",
            hint=f"A key is 32 random bytes in URL-safe base64: {NEW_KEY}",
            id="pastetrader.E020",
        )
    ]


def check_credential_keys_are_given(app_configs: Any, **_kwargs: Any) -> Sequence[CheckMessage]:
    """For deployments: nothing makes keys there."""
    del app_configs
    if workflow_settings().credential_keys:
        return []
    return [
        checks.Warning(
            "PASTETRADER['CREDENTIAL_KEYS'] is not set: no secret can be kept, and no node can use one.",
            hint=f"Set CREDENTIAL_KEYS, the same for all processes. A key is made by: {NEW_KEY}",
            id="pastetrader.W020",
        )
    ]


def check_secrets_can_be_read(
    app_configs: Any, databases: Collection[str] | None = None, **_kwargs: Any
) -> Sequence[CheckMessage]:
    """Of a database: where there are secrets, there must be a key. Without secrets nobody needs one."""
    del app_configs
    if not databases or workflow_settings().credential_keys:
        return []
    try:
        count = Credential.objects.count()
    except DatabaseError:
        # Before the first migration there is no table.
        return []
    if not count:
        return []
    return [
        Error(
            f"There are {count} secrets in the database, and PASTETRADER['CREDENTIAL_KEYS'] is not set.",
            hint="Set the keys with which they were encrypted: nodes that use them fail until then.",
            id="pastetrader.E021",
        )
    ]


def register_checks() -> None:
    _ = register(check_credential_keys)
    _ = register(check_credential_keys_are_given, deploy=True)
    _ = register(check_secrets_can_be_read, checks.Tags.database)
    _ = register(check_market_source)
    _ = register(check_demo)
    _ = register(check_agent_providers)
    _ = register(check_mcp_servers)
    _ = register(check_agent_prices)
    _ = register(check_tool_rates)
    _ = register(check_sizes)
    _ = register(check_plugins)
