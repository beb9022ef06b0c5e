"""Prices of an HTTP service: what is asked for, and what is made of the answer."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from workflows_app.dag import jsontext
from workflows_app.dag.types import JsonValue
from workflows_app.tools import ToolContext
from workflows_app.tools.errors import NodeConfigurationError, NodeError, NodeInputError
from workflows_app.tools.http import addresses, limits
from workflows_app.tools.market import services, sources
from workflows_app.tools.market.errors import PricesUnreadable, UnknownSymbol
from workflows_app.tools.market.services import HttpSource
from workflows_app.tools.market.sources import SourceSettingError, source_of
from workflows_app.tools.market.tables import CsvSource
from workflows_app.tools.registry import registry

# What the application uses; most tests here have a plain client in its place.
GUARDED = services.fetch_json


class Service(ThreadingHTTPServer):
    """Answers every request with the same text and notes what was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.text = "[]"
        self.asked: list[tuple[str, str | None]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Service

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["authorization"]))
        content = self.server.text.encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    async def fetch(url: str, headers: Mapping[str, str], context: ToolContext) -> JsonValue:
        async with httpx.AsyncClient(trust_env=False) as client:
            return jsontext.loads((await client.get(url, headers=dict(headers))).text)

    monkeypatch.setattr(services, "fetch_json", fetch)
    server = Service()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def prices(service: Service, context: ToolContext, setting: dict[str, str] | None = None, **inputs: JsonValue) -> str:
    address = f"http://127.0.0.1:{service.server_port}/daily/{{symbol}}?from={{since}}&until={{until}}"
    source = source_of({"http": {"url": address, **(setting or {})}})
    before = sources.current
    sources.current = lambda: source
    try:
        return jsontext.dumps(asyncio.run(registry.get("market.prices").call({"symbol": "A", **inputs}, context)))
    finally:
        sources.current = before


def test_days_become_columns_with_all_digits(service: Service, context: ToolContext) -> None:
    service.text = '[{"date": "2020-01-02", "close": 1.50}, {"date": "2020-01-03T21:00:00Z", "close": "2.0010"}]'
    assert prices(service, context) == '{"symbol":"A","closes":[1.50,2.0010],"dates":["2020-01-02","2020-01-03"]}'


def test_paths_name_where_the_days_and_their_columns_are(service: Service, context: ToolContext) -> None:
    service.text = (
        '{"data": [{"rows": [{"t": "2020-01-02", "p": [1, 3, 0, 2], "v": {"n": 7}},'
        ' {"t": "2020-01-03", "p": [2, 4, 1, 3], "v": {"n": 8}}]}]}'
    )
    setting = {
        "items": "data.0.rows", "date": "t", "open": "p.0", "high": "p.1", "low": "p.2", "close": "p.3",
        "volume": "v.n",
    }  # fmt: skip
    assert prices(service, context, setting, until="2020-01-02") == (
        '{"symbol":"A","closes":[2],"dates":["2020-01-02"],"opens":[1],"highs":[3],"lows":[0],"volumes":[7]}'
    )


def test_the_symbol_and_the_days_are_escaped_into_the_address(service: Service, context: ToolContext) -> None:
    service.text = '[{"date": "2020-01-02", "close": 1}]'
    _ = prices(service, context, symbol="A/../B?x=1&y#z{until} é", since="2020-01-01", until="2020-01-03T10:00:00Z")
    assert service.asked == [
        ("/daily/A%2F..%2FB%3Fx%3D1%26y%23z%7Buntil%7D%20%C3%A9?from=2020-01-01&until=2020-01-03", None)
    ]


@pytest.mark.parametrize("symbol", ["", ".", ".."])
def test_a_symbol_that_is_a_step_in_a_path_is_not_asked_for(
    service: Service, context: ToolContext, symbol: str
) -> None:
    with pytest.raises(NodeInputError, match="is no symbol"):
        prices(service, context, symbol=symbol)
    assert service.asked == []


def test_a_token_comes_from_the_environment_and_goes_nowhere_else(
    service: Service, context: ToolContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.text = '[{"date": "2020-01-02", "close": 1}]'
    monkeypatch.delenv("PRICES_TOKEN", raising=False)
    with pytest.raises(NodeConfigurationError, match="set the environment variable PRICES_TOKEN"):
        prices(service, context, {"bearer_env": "PRICES_TOKEN"})
    monkeypatch.setenv("PRICES_TOKEN", "s3cr3t")
    assert "s3cr3t" not in prices(service, context, {"bearer_env": "PRICES_TOKEN"})
    assert service.asked == [("/daily/A?from=&until=", "Bearer s3cr3t")]
    service.text = '[{"date": "2020-01-02"}]'
    with pytest.raises(PricesUnreadable) as caught:
        prices(service, context, {"bearer_env": "PRICES_TOKEN"})
    assert "s3cr3t" not in str(caught.value)


def test_no_days_are_an_unknown_symbol(service: Service, context: ToolContext) -> None:
    with pytest.raises(UnknownSymbol, match="There are no prices of 'A'"):
        prices(service, context)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ('{"rows": []}', "sent no list of days: check 'items'"),
        ("null", "sent no list of days"),
        ("[1]", "Day 0 .* has no ISO date at 'date'"),
        ('[{"date": "2020-02-30", "close": 1}]', "Day 0 .* has no ISO date"),
        ('[{"date": 1577923200, "close": 1}]', "Day 0 .* has no ISO date"),
        ('[{"date": "2020-01-02", "close": null}]', "Day 0 .* has no number at 'close'"),
        ('[{"date": "2020-01-02", "close": true}]', "Day 0 .* has no number at 'close'"),
        ('[{"date": "2020-01-02", "close": "NaN"}]', "Day 0 .* has no number at 'close'"),
        ('[{"date": "2020-01-02", "close": "1e999"}]', "Day 0 .* has no number at 'close'"),
        ('[{"date": "2020-01-02"}]', "Day 0 .* has no number at 'close'"),
        ('[{"date": "2020-01-03", "close": 1}, {"date": "2020-01-02", "close": 1}]', "Day 1 .* is older than the one"),
        ('[{"date": "2020-01-02", "close": 1}, {"date": "2020-01-02", "close": 1}]', "Day 1 .* has the same date"),
    ],
)
def test_an_answer_that_holds_no_prices_is_refused(
    service: Service, context: ToolContext, answer: str, told: str
) -> None:
    service.text = answer
    with pytest.raises(PricesUnreadable, match=told) as caught:
        prices(service, context)
    assert not caught.value.retryable


def test_an_answer_of_another_shape_is_told_with_its_path(service: Service, context: ToolContext) -> None:
    service.text = '{"data": {}}'
    with pytest.raises(PricesUnreadable, match=r"no list of days at 'data\.rows\.7'"):
        prices(service, context, {"items": "data.rows.7"})


def test_settings_name_a_source() -> None:
    assert source_of(None) == sources.bundled()
    assert isinstance(source_of({"csv": "prices.csv"}), CsvSource)
    setting = {"url": "https://prices.invalid/{symbol}", "bearer_env": "TOKEN", "volume": "v"}
    assert source_of({"http": setting}) == HttpSource(
        url="https://prices.invalid/{symbol}",
        fields={"date": "date", "close": "close", "volume": "v"},
        bearer_env="TOKEN",
    )


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("prices.csv", "It is neither"), ({}, "It is neither"), ({"csv": "a", "http": {}}, "It is neither"),
        ({"csv": None}, "It is neither"), ({"csv": ""}, "It is neither"), ({"http": "https://x/{symbol}"}, "neither"),
        ({"http": {}}, "'url' of 'http' is an address"),
        ({"http": {"url": "https://x/{symbol}", "closes": "c"}}, "but no 'closes'"),
        ({"http": {"url": "https://x/{symbol}", "close": 4}}, "'close' of 'http' is no text"),
        ({"http": {"url": "https://x/daily"}}, "{symbol} must"), ({"http": {"url": "https://{symbol}/"}}, "behind"),
        ({"http": {"url": "https://x/{symbol}/{day}"}}, "can stand behind the host"),
        ({"http": {"url": "file:///{symbol}"}}, "is an address"), ({"http": {"url": "https://x/{symbol} "}}, "address"),
    ],
)  # fmt: skip
def test_settings_that_name_no_source_are_told_what_is_wrong(setting: object, told: str) -> None:
    with pytest.raises(SourceSettingError, match=told):
        source_of(setting)


def test_the_service_is_called_by_the_guarded_client(
    service: Service, context: ToolContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "fetch_json", GUARDED)
    monkeypatch.setenv("PRICES_TOKEN", "s3cr3t")
    service.text = '[{"date": "2020-01-02", "close": 1.50}, {"date": "2020-01-03", "close": 2}]'
    with pytest.raises(NodeError, match="not public") as caught:
        prices(service, context, {"bearer_env": "PRICES_TOKEN"})
    assert (type(caught.value).__name__, service.asked) == ("HttpForbidden", [])
    # The control: the guard was what kept it from being called.
    allowed = (addresses.AllowedHost.parse("127.0.0.1"),)
    monkeypatch.setattr(limits.configured, "limits", replace(limits.configured.limits, allowed=allowed))
    assert prices(service, context, {"bearer_env": "PRICES_TOKEN"}, symbol="A/B", until="2020-01-02") == (
        '{"symbol":"A/B","closes":[1.50],"dates":["2020-01-02"]}'
    )
    assert service.asked == [("/daily/A%2FB?from=&until=2020-01-02", "Bearer s3cr3t")]
