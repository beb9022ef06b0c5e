"""What is not known on the day `until` does not exist, whatever the source holds or sends."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows_app.dag import jsontext
from workflows_app.dag.types import JsonValue
from workflows_app.tools import ToolContext
from workflows_app.tools.errors import NodeError
from workflows_app.tools.market import services, sources
from workflows_app.tools.market.bars import Bars, Days
from workflows_app.tools.market.tables import CsvSource
from workflows_app.tools.registry import registry

type Rows = dict[tuple[str, str], int]

DAYS = st.dates(date(2020, 1, 1), date(2020, 3, 1)).map(date.isoformat)
# By symbol and day, so that no day is there twice.
ROWS = st.dictionaries(st.tuples(st.sampled_from("AB"), DAYS), st.integers(1, 10**6), max_size=25)


@pytest.fixture
def call(context_of: Callable[..., ToolContext]) -> Callable[..., str]:
    """What the tool answers, as JSON, or the class and sentence of its error."""

    def answer(until: str | None, since: str | None = None) -> str:
        inputs: dict[str, JsonValue] = {"symbol": "A", "until": until, "since": since}
        try:
            return jsontext.dumps(asyncio.run(registry.get("market.prices").call(inputs, context_of())))
        except NodeError as error:
            return f"{type(error).__name__}: {error}"

    return answer


@contextmanager
def source(given: sources.Source) -> Iterator[None]:
    before = sources.current
    sources.current = lambda: given
    try:
        yield
    finally:
        sources.current = before


def table(path: Path, rows: Rows) -> CsvSource:
    lines = [f"{symbol},{day},{close}" for (symbol, day), close in rows.items()]
    path.write_text("\n".join(["Ticker,Date,Close", *lines, ""]), encoding="utf-8")
    # The time of change of a file is coarse: two that are written at once must not be taken for the same.
    return CsvSource(path=path.rename(path.with_name(f"{abs(hash(tuple(rows.items())))}.csv")))


def service(rows: Rows) -> services.HttpSource:
    async def fetch(url: str, headers: object, context: ToolContext) -> JsonValue:
        symbol = url.rpartition("/")[2]
        days = sorted(day for of, day in rows if of == symbol)
        return [{"date": day, "close": rows[symbol, day]} for day in days]

    services.fetch_json = fetch
    return services.HttpSource(url="https://prices.invalid/{symbol}", fields={"date": "date", "close": "close"})


@pytest.fixture(params=["csv", "http"])
def with_rows(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Rows], sources.Source]:
    monkeypatch.setattr(services, "fetch_json", None)
    return service if request.param == "http" else lambda rows: table(tmp_path / "new.csv", rows)


def test_no_later_row_leaks_and_later_rows_change_nothing(
    call: Callable[..., str], with_rows: Callable[[Rows], sources.Source]
) -> None:
    changes = leaks = 0

    @given(rows=ROWS, until=DAYS, since=st.none() | DAYS)
    def holds(rows: Rows, until: str, since: str | None) -> None:
        nonlocal changes, leaks
        early = {key: close for key, close in rows.items() if key[1] <= until}
        with source(with_rows(early)):
            expected, expected_without_bound = call(until, since), call(None, since)
        with source(with_rows(rows)):
            answer, unbound = call(until, since), call(None, since)
        assert answer == expected
        if answer.startswith("{"):
            dates = jsontext.loads(answer)["dates"]
            assert dates == sorted(dates)
            assert all((since or "") <= day <= until for day in dates)
        # The control: without `until` the later rows are seen.
        changes += unbound != expected_without_bound
        leaks += any(day > until and day in unbound for _, day in rows)

    holds()
    assert changes > 0
    assert leaks > 0


class Talkative:
    """A source that ignores what it is asked for."""

    async def bars(self, symbol: str, days: Days, context: ToolContext) -> Bars:
        return Bars(dates=["2020-01-02", "2020-01-03"], columns={"close": [1, 2], "high": [3, 4], "volume": [5, 6]})

    async def symbols(self, until: str | None, context: ToolContext) -> Sequence[str]:
        return ()


def test_what_a_source_gives_beyond_the_day_is_cut_off_every_column(call: Callable[..., str]) -> None:
    with source(Talkative()):
        assert call("2020-01-02") == ('{"symbol":"A","closes":[1],"dates":["2020-01-02"],"highs":[3],"volumes":[5]}')
        assert '"highs":[3,4]' in call("2020-01-03")
        assert call("2020-01-01") == "UnknownSymbol: There are no prices of 'A' up to 2020-01-01."


@pytest.mark.parametrize("later", [{"date": "2020-01-04", "close": "garbage"}, {"date": "2020-01-04"}])
def test_a_later_row_may_even_be_garbage(
    call: Callable[..., str], monkeypatch: pytest.MonkeyPatch, later: JsonValue
) -> None:
    async def fetch(url: str, headers: object, context: ToolContext) -> JsonValue:
        return [{"date": "2020-01-03", "close": 1}, later, {"date": "2020-01-03T23:59:59Z", "close": 2}]

    monkeypatch.setattr(services, "fetch_json", fetch)
    with source(services.HttpSource(url="https://prices.invalid/{symbol}", fields={"date": "date", "close": "close"})):
        # The third row is one of a day that is known: it is a mistake.
        assert "Day 2 of what the source of prices sent, counted from 0, has the same date" in call("2020-01-03")
        assert "Day 1 of what the source of prices sent, counted from 0, has no number at 'close'" in call(None)
