"""Every row of the tables in docs/transforms.md does what it says."""

import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.unit.processors.conftest import MakeCall
from workflows_app.dag import jsontext
from workflows_app.dag.expressions import ExpressionError
from workflows_app.dag.functions import FUNCTIONS, SPECIAL_FUNCTIONS
from workflows_app.dag.types import JsonObject, NodeType, Strategy
from workflows_app.processors.base import NodeCall
from workflows_app.processors.errors import NodeInputError

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "transforms.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
INPUT: JsonObject = jsontext.loads(re.search(r"```json\n(.*?)```", TEXT, re.DOTALL)[1])


@dataclass(frozen=True, kw_only=True)
class Table:
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


def cells(line: str) -> tuple[str, ...]:
    """What stands between the bars, without the marks of code around it. No example holds a bar."""
    return tuple(re.sub(r"^(`+)(.*)\1$", r"\2", cell.strip()) for cell in line.strip()[1:-1].split("|"))


def tables() -> Iterator[Table]:
    for block in re.findall(r"(?:^\|.*\n)+", TEXT, re.MULTILINE):
        head, _, *rows = block.splitlines()
        yield Table(columns=cells(head), rows=[cells(row) for row in rows])


def rows_under(*columns: str) -> list[tuple[str, ...]]:
    return [row for table in tables() if table.columns == columns for row in table.rows]


def same(found: object, expected: str) -> bool:
    """Equal as JSON text: with the same digits and the keys in the same order."""
    return jsontext.dumps(found) == jsontext.dumps(jsontext.loads(expected))


@pytest.fixture
def adapt(call_of: MakeCall, run: Callable[[NodeCall], Awaitable[object]]) -> Callable[[object], Awaitable[object]]:
    return lambda output: run(call_of(NodeType.ADAPTER, output=output, execution_input=INPUT))


@pytest.fixture
def reduce(
    call_of: MakeCall, run: Callable[[NodeCall], Awaitable[object]]
) -> Callable[[str, str, str], Awaitable[object]]:
    def of(strategy: str, field: str, outputs: str) -> Awaitable[object]:
        arrived = jsontext.loads(outputs)
        return run(call_of(NodeType.AGGREGATOR, strategy=Strategy(strategy), field=field, arrived=arrived))

    return of


@pytest.mark.parametrize(("template", "result"), rows_under("output", "gives"))
async def test_a_mapping_gives_what_the_document_says(
    adapt: Callable[[object], Awaitable[object]], template: str, result: str
) -> None:
    assert same(await adapt(jsontext.loads(template)), result)


@pytest.mark.parametrize(
    ("expression", "result"),
    rows_under("expression", "gives") + [row[2:] for row in rows_under("function", "gives", "example", "result")],
)
async def test_an_expression_gives_what_the_document_says(
    adapt: Callable[[object], Awaitable[object]], expression: str, result: str
) -> None:
    assert same(await adapt("${{ " + expression + " }}"), result)


@pytest.mark.parametrize(("expression", "sentence"), rows_under("expression", "is the error"))
async def test_an_expression_fails_as_the_document_says(
    adapt: Callable[[object], Awaitable[object]], expression: str, sentence: str
) -> None:
    with pytest.raises(ExpressionError) as caught:
        await adapt({"rows": ["${{ " + expression + " }}"]})
    assert str(caught.value) == f"rows[0]: {sentence} (in `{expression}`)"


@pytest.mark.parametrize(
    ("strategy", "field", "outputs", "result"), rows_under("strategy", "field", "outputs", "gives")
)
async def test_a_strategy_gives_what_the_document_says(
    reduce: Callable[[str, str, str], Awaitable[object]], strategy: str, field: str, outputs: str, result: str
) -> None:
    assert same(await reduce(strategy, field, outputs), result)


@pytest.mark.parametrize(
    ("strategy", "field", "outputs", "sentence"), rows_under("strategy", "field", "outputs", "is the error")
)
async def test_a_strategy_fails_as_the_document_says(
    reduce: Callable[[str, str, str], Awaitable[object]], strategy: str, field: str, outputs: str, sentence: str
) -> None:
    with pytest.raises(NodeInputError) as caught:
        await reduce(strategy, field, outputs)
    assert str(caught.value) == sentence


def test_no_table_is_left_out_and_every_row_is_whole() -> None:
    executed = {
        ("output", "gives"), ("expression", "gives"), ("expression", "is the error"),
        ("function", "gives", "example", "result"),
        ("strategy", "field", "outputs", "gives"), ("strategy", "field", "outputs", "is the error"),
    }  # fmt: skip
    assert {table.columns for table in tables()} == executed
    assert all(len(row) == len(table.columns) for table in tables() for row in table.rows)
    assert sum(len(table.rows) for table in tables()) > 90


def test_every_function_is_listed_once_and_its_example_uses_it() -> None:
    listed = rows_under("function", "gives", "example", "result")
    names = [re.match(r"\w+", row[0])[0] for row in listed]
    assert sorted(names) == sorted({*FUNCTIONS, *SPECIAL_FUNCTIONS})
    assert all(f"{name}(" in row[2] for name, row in zip(names, listed, strict=True))


def test_every_strategy_has_an_example_over_values_and_one_over_nothing() -> None:
    shown = {(row[0], row[2] == "{}") for row in rows_under("strategy", "field", "outputs", "gives")}
    assert shown == {(strategy, empty) for strategy in Strategy for empty in (True, False)}
