"""The settings of this app: the `PASTETRADER` dict, read when needed and typed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from workflows_app.agents.prices import Price, prices_of
from workflows_app.agents.providers import Provider, providers_of
from workflows_app.dag.jsontext import MAX_DEPTH
from workflows_app.dag.validation import DEFAULT_SIZES, Sizes
from workflows_app.tools.mcp.servers import McpServer, servers_of
from workflows_app.tools.rates import NO_RATES, Rate, rates_of


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowSettings:
    # Where `market.prices` gets its prices from, as the setting says it; None: the bundled file.
    market_source: object
    # The providers of agent nodes, and the one that they call `default`, as the settings say them.
    agent_providers: object
    agent_provider: str
    # The MCP servers whose tools may be called, as the setting says them.
    mcp_servers: object
    # What their models cost, as the setting says it.
    agent_prices: object
    # A folder of documents that a user without workflows is offered; None: nothing is offered.
    demo: Path | None
    # The largest workflow.
    sizes: Sizes
    # The longest body of a request, the longest body that is a document, and the levels that either may have.
    body_bytes: int
    document_bytes: int
    json_depth: int
    # Requests of a token, or of the sessions of a user; and passwords and tokens from one address that are wrong.
    requests_per_minute: int
    wrong_credentials_per_minute: int
    # Keys of secrets: the first encrypts, all decrypt.
    credential_keys: tuple[str, ...]


def workflow_settings() -> WorkflowSettings:
    configured = getattr(settings, "PASTETRADER", {})
    market_data = configured.get("MARKET_DATA")
    demo = configured.get("DEMO")
    return WorkflowSettings(
        market_source={"csv": market_data} if market_data else configured.get("MARKET_SOURCE"),
        agent_providers=configured.get("AGENT_PROVIDERS", {}),
        agent_provider=str(configured.get("AGENT_PROVIDER") or ""),
        mcp_servers=configured.get("MCP_SERVERS") or {},
        agent_prices=configured.get("AGENT_PRICES", {}),
        demo=Path(demo) if demo else None,
        sizes=Sizes(
            nodes=int(configured.get("MAX_NODES", DEFAULT_SIZES.nodes)),
            edges=int(configured.get("MAX_EDGES", DEFAULT_SIZES.edges)),
        ),
        body_bytes=int(configured.get("MAX_BODY_BYTES", 1024**2)),
        document_bytes=int(configured.get("MAX_DOCUMENT_BYTES", 16 * 1024**2)),
        json_depth=int(configured.get("MAX_JSON_DEPTH", MAX_DEPTH)),
        requests_per_minute=int(configured.get("REQUESTS_PER_MINUTE", 6000)),
        wrong_credentials_per_minute=int(configured.get("WRONG_CREDENTIALS_PER_MINUTE", 20)),
        credential_keys=_keys(configured.get("CREDENTIAL_KEYS", ())),
    )


def current_providers() -> Mapping[str, Provider]:
    """The providers of agent nodes by name. Raises `ProviderSettingError`."""
    chosen = workflow_settings()
    return providers_of(chosen.agent_providers, chosen.agent_provider)


def current_servers() -> Mapping[str, McpServer]:
    """The MCP servers by name. Raises `ServerSettingError`."""
    return servers_of(workflow_settings().mcp_servers)


def current_rates() -> Mapping[str, Rate | None]:
    """How often tools may be called, by their names. Raises `RateError`."""
    # Asked before every call of a tool: nothing else is read.
    configured = getattr(settings, "PASTETRADER", {})
    said = configured.get("TOOL_RATES")
    return rates_of(said) if said else NO_RATES


def current_prices() -> Mapping[str, Price]:
    """What models cost, by `PROVIDER/MODEL` or `MODEL`. Raises `PriceSettingError`."""
    return prices_of(workflow_settings().agent_prices)


def _keys(configured: str | Iterable[str]) -> tuple[str, ...]:
    """One text with commas, as the environment has it, or a list."""
    keys = configured.split(",") if isinstance(configured, str) else configured
    return tuple(filter(None, map(str.strip, keys)))
