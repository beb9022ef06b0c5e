"""What tools may return: each type has one JSON form, and the schema in the catalogue is that form's."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from ipaddress import IPv4Address
from pathlib import PurePosixPath
from typing import Any, NamedTuple, NotRequired, TypedDict
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, RootModel, SecretStr, computed_field

from workflows_app.dag import jsontext, schema
from workflows_app.tools.errors import NodeOutputError
from workflows_app.tools.registry import Isolation, Tool, registry, tool


class Side(StrEnum):
    BUY = "buy"


class Lot(IntEnum):
    ROUND = 100


class Tick(Enum):
    FINE = Decimal("0.01")


class Order(BaseModel):
    symbol: str
    price: Decimal
    side: Side = Side.BUY
    at: datetime | None = None


class Aliased(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    fast: int = Field(alias="fastLine")
    slow: int = Field(serialization_alias="slowLine")


class Doubled(BaseModel):
    amount: Decimal
    hidden: int = Field(default=1, exclude=True)

    @computed_field
    @property
    def twice(self) -> Decimal:
        return self.amount * 2


class Orders(RootModel[list[Order]]):
    pass


class Link(BaseModel):
    url: HttpUrl


class Sealed(BaseModel):
    key: SecretStr


@dataclass(frozen=True, slots=True)
class Bar:
    day: date
    close: Decimal
    order: Order | None = None


class Quote(TypedDict):
    symbol: str
    price: NotRequired[Decimal]


class Pair(NamedTuple):
    name: str
    value: Decimal


PRICE = Decimal("1234567890123456789.10")
MOMENT = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
ORDER = {"symbol": "AAPL", "price": PRICE, "side": "buy", "at": None}
RESULTS: list[tuple[Any, Any, Any]] = [
    (Order, Order(symbol="AAPL", price=PRICE), ORDER),
    (Order, Order(symbol="A", price=Decimal(1), at=MOMENT),
     {"symbol": "A", "price": 1, "side": "buy", "at": "2026-01-02T03:04:05.000006Z"}),
    (list[Order], [Order(symbol="AAPL", price=PRICE)], [ORDER]),
    (dict[str, Order], {"best": Order(symbol="AAPL", price=PRICE)}, {"best": ORDER}),
    (Orders, Orders([Order(symbol="AAPL", price=PRICE)]), [ORDER]),
    (Aliased, Aliased(fast=1, slow=2), {"fastLine": 1, "slowLine": 2}),
    (list[Aliased], [Aliased(fast=1, slow=2)], [{"fastLine": 1, "slowLine": 2}]),
    (Doubled, Doubled(amount=PRICE), {"amount": PRICE, "twice": PRICE * 2}),
    (Link, Link(url="https://localhost/a"), {"url": "https://localhost/a"}),
    (Bar, Bar(date(2026, 1, 2), PRICE, Order(symbol="AAPL", price=PRICE)),
     {"day": "2026-01-02", "close": PRICE, "order": ORDER}),
    (Quote, Quote(symbol="AAPL"), {"symbol": "AAPL"}),
    (Quote, Quote(symbol="AAPL", price=PRICE), {"symbol": "AAPL", "price": PRICE}),
    (Pair, Pair("a", PRICE), ["a", PRICE]),
    (tuple[int, str], (1, "a"), [1, "a"]),
    (Side, Side.BUY, "buy"),
    (Lot, Lot.ROUND, 100),
    (Tick, Tick.FINE, Decimal("0.01")),
    (dict[Side, int], {Side.BUY: 1}, {"buy": 1}),
    (Decimal, PRICE, PRICE),
    (float, 0.1, Decimal("0.1")),
    (datetime, datetime(2026, 1, 2), "2026-01-02T00:00:00.000000Z"),  # noqa: DTZ001 - taken as UTC
    (date, date(2026, 1, 2), "2026-01-02"),
    (time, time(9, 30), "09:30:00"),
    (UUID, UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (PurePosixPath, PurePosixPath("data/prices.csv"), "data/prices.csv"),
    (IPv4Address, IPv4Address("10.0.0.1"), "10.0.0.1"),
    (bool, True, True),
    (type(None), None, None),
]  # fmt: skip
REFUSED: list[tuple[Any, str]] = [
    ({1, 2}, "A set is not JSON: return a list."),
    (frozenset([1]), "A set is not JSON: return a list."),
    (b"text", "Bytes are not JSON: return text, such as base64."),
    (timedelta(hours=1), "A span of time is not JSON: return its seconds."),
    (Sealed(key="a secret"), "At key: A value of type SecretStr is not JSON"),
    ({"a": [float("nan")]}, r"At a\[0\]: NaN is no number that JSON has"),
    ({1: "a"}, "The key 1 is not text: an object's keys are."),
    (1j, "A value of type complex is not JSON"),
    ((number for number in (1, 2)), "A value of type generator is not JSON: return an object, a list"),
    (Order, "A value of type ModelMetaclass is not JSON"),
    (open, "A value of type builtin_function_or_method is not JSON"),
]


@pytest.mark.parametrize(("hint", "value", "expected"), RESULTS)
async def test_a_result_has_one_form_which_the_schema_of_the_catalogue_has_too(context, hint, value, expected):
    async def give():
        return value

    give.__annotations__["return"] = hint
    tool("test.give", effect="none")(give)
    given_ = jsontext.clean(await registry.get("test.give").call({}, context))
    assert given_ == expected
    assert jsontext.loads(jsontext.dumps(given_)) == expected
    described = registry.catalogue()["test.give"].output_schema
    assert described
    assert schema.violations(described, given_) == []


@pytest.mark.parametrize(("value", "sentence"), REFUSED)
def test_what_has_no_form_is_a_sentence_that_says_where_and_what_to_return(value, sentence):
    with pytest.raises(jsontext.JsonError, match=sentence):
        jsontext.clean(value)


def give_order() -> Order:
    return Order(symbol="AAPL", price=PRICE, at=MOMENT)


def give_numbers() -> Iterator[int]:
    yield 1


async def test_a_process_of_its_own_gives_the_same(context):
    def isolated(function):
        return Tool(name="test.give", function=function, isolation=Isolation.PROCESS)

    assert await isolated(give_order).call({}, context) == jsontext.clean(give_order())
    with pytest.raises(NodeOutputError, match="is not JSON: A value of type generator is not JSON"):
        await isolated(give_numbers).call({}, context)


PRICES = st.decimals(-(10**15), 10**15, places=4)
ORDERS = st.builds(Order, symbol=st.text("ABC", max_size=4), price=PRICES, at=st.none() | st.datetimes())
BARS = st.builds(Bar, day=st.dates(), close=PRICES, order=st.none() | ORDERS)


def bars() -> dict[str, list[Bar]]:
    """Only its annotation matters."""
    return {}


@given(st.dictionaries(st.text("abc", max_size=3), st.lists(BARS, max_size=3), max_size=3))
def test_whatever_is_inside_the_form_and_the_schema_agree(value):
    described = Tool(name="test.bars", function=bars).info.output_schema
    given_ = jsontext.clean(value)
    assert schema.violations(described, given_) == []
    closes = [bar.close for listed in value.values() for bar in listed]
    assert [bar["close"] for listed in given_.values() for bar in listed] == closes
