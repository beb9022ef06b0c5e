"""Prices of an HTTP service: one call for each node, through the guarded client of `http.request`."""

import os
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import quote

from workflows_app.dag.paths import index_of
from workflows_app.dag.types import JsonValue
from workflows_app.tools.context import ToolContext
from workflows_app.tools.errors import NodeConfigurationError, NodeInputError
from workflows_app.tools.http.request import request
from workflows_app.tools.market.bars import Bars, Days, day_of, price_of
from workflows_app.tools.market.errors import PricesUnreadable

# (address, headers, attempt): the JSON that is answered.
type FetchJson = Callable[[str, Mapping[str, str], ToolContext], Awaitable[JsonValue]]
PLACES = ("symbol", "since", "until")
_PLACE = re.compile(r"\{(\w*)\}")
# An address of its own to servers that tidy paths up.
_DOTS = frozenset({"", ".", ".."})


async def _fetch_json(url: str, headers: Mapping[str, str], context: ToolContext) -> JsonValue:
    answer = await request(context, url=url, headers=dict(headers), response="json")
    return answer["body"]


# To be replaced by the application, and by tests.
fetch_json: FetchJson = _fetch_json


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSource:
    """A service that answers with one object for each day, the oldest first.

    `url` has the places `{symbol}`, `{since}` and `{until}`. `items` is the dotted path of the days in the answer,
    `fields` that of the date and of each column within a day. `bearer_env` names the environment variable that holds
    a token.
    """

    url: str
    items: str = ""
    fields: Mapping[str, str]
    bearer_env: str | None = None

    async def bars(self, symbol: str, days: Days, context: ToolContext) -> Bars:
        """Raises `PricesUnreadable`, and what the client raises."""
        answer = await fetch_json(self._address(symbol, days), self._headers(), context)
        return self._read(answer, days.until)

    async def symbols(self, until: str | None, context: ToolContext) -> Sequence[str]:
        """None: a service is not asked for all that it has."""
        del until, context
        return ()

    def _address(self, symbol: str, days: Days) -> str:
        if symbol in _DOTS:
            raise NodeInputError("The input 'symbol' of tool 'market.prices' is no symbol: give one such as 'AAPL'.")
        values = {"symbol": symbol, "since": days.since or "", "until": days.until or ""}
        return _PLACE.sub(lambda place: quote(values[place[1]], safe=""), self.url)

    def _headers(self) -> Mapping[str, str]:
        if self.bearer_env is None:
            return {"accept": "application/json"}
        token = os.environ.get(self.bearer_env)
        if not token:
            raise NodeConfigurationError(
                f"The token of the market data is missing: set the environment variable {self.bearer_env}."
            )
        return {"accept": "application/json", "authorization": f"Bearer {token}"}

    def _read(self, answer: JsonValue, until: str | None) -> Bars:
        rows = _at(self.items, answer)
        if not isinstance(rows, list):
            place = f" at '{self.items}'" if self.items else ""
            raise PricesUnreadable(f"The source of prices sent no list of days{place}: check 'items' of its setting.")
        dates: list[str] = []
        columns: dict[str, list[Decimal]] = {name: [] for name in self.fields if name != "date"}
        for position, row in enumerate(rows):
            day = day_of(_at(self.fields["date"], row))
            if day is None:
                raise _unreadable(position, f"has no ISO date at '{self.fields['date']}'")
            if until is not None and day > until:
                # Not known on that day: whatever it holds, it changes nothing.
                continue
            if dates and day <= dates[-1]:
                why = "has the same date as the one before" if day == dates[-1] else "is older than the one before"
                raise _unreadable(position, f"{why}: have each day sent once, the oldest first")
            dates.append(day)
            for name, values in columns.items():
                value = price_of(_at(self.fields[name], row))
                if value is None:
                    raise _unreadable(position, f"has no number at '{self.fields[name]}'")
                values.append(value)
        return Bars(dates=dates, columns=columns)


def unknown_places(url: str) -> list[str]:
    """The names in braces that mean nothing."""
    return [name for name in _PLACE.findall(url) if name not in PLACES]


def _unreadable(position: int, why: str) -> PricesUnreadable:
    # What a service sends may be anything, and stays out of the message.
    return PricesUnreadable(f"Day {position} of what the source of prices sent, counted from 0, {why}.")


def _at(path: str, value: JsonValue) -> JsonValue:
    """What stands at a dotted path, a number in it counting the items of a list; null where there is nothing."""
    for part in path.split(".") if path else ():
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and (index := index_of(part)) is not None and index < len(value):
            value = value[index]
        else:
            return None
    return value
