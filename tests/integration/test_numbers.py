"""Every digit of a number survives every boundary; none becomes a float on its way."""

import asyncio
from decimal import Decimal

import pytest
from django.db import connection

from executions_app.executor import WorkflowExecutor
from executions_app.models import ExecutionLog, NodeExecution, WorkflowExecution
from executions_app.queries import execution_by_id, execution_json
from tests.integration.runs import outputs, row, run_text
from workflows_app.dag import jsontext
from workflows_app.services.documents import Format, export, read, save
from workflows_app.tools import tool
from workflows_app.tools.context import ToolContext

pytestmark = pytest.mark.django_db(transaction=True)

LONG = "1234567890123456789.123456789"
WHOLE = str(2**256 - 1)
TEXT = """name: digits
variables: {long: %s, short: 1.10, large: %s}
nodes:
  - {key: t, type: trigger}
  - key: a
    type: tool
    tool: core.set
    inputs:
      given: "${{ input.amount }}"
      long: "${{ vars.long }}"
      large: "${{ vars.large }}"
      literal: %s
      sum: "${{ 0.1 + 0.2 }}"
      equal: "${{ 0.1 + 0.2 == 0.3 }}"
      text: "it is ${{ vars.long }}"
  - {key: total, type: aggregator, strategy: sum, field: long}
edges: [{from: t, to: a}, {from: a, to: total}]
""" % (LONG, WHOLE, LONG)


def floats_in(value):
    if isinstance(value, float):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [found for item in items for found in floats_in(item)]


@pytest.fixture
def ran(owner):
    return run_text(TEXT, owner, {"amount": Decimal(LONG)})


@pytest.mark.parametrize("form", list(Format))
def test_digits_survive_import_and_export(owner, form):
    workflow, _ = save(read(TEXT), owner)
    text = export(workflow, form)
    assert text.count(LONG) == 2
    assert "1.10" in text
    assert WHOLE in text
    again = read(text, form).document
    assert again["variables"] == {"long": Decimal(LONG), "short": Decimal("1.10"), "large": int(WHOLE)}
    assert floats_in(again) == []


def test_digits_survive_expressions(ran):
    assert outputs(ran)["a"] == {
        "given": Decimal(LONG),
        "long": Decimal(LONG),
        "large": int(WHOLE),
        "literal": Decimal(LONG),
        "sum": Decimal("0.3"),
        "equal": True,
        "text": f"it is {LONG}",
    }
    assert floats_in(outputs(ran)) == []
    assert outputs(ran)["total"] == Decimal(LONG)


def test_digits_survive_in_the_rows(ran):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT input, output FROM {NodeExecution._meta.db_table} WHERE key = 'a'")
        for text in cursor.fetchone():
            assert f'"given":{LONG}' in text
            assert '"sum":0.3' in text
            assert f'"large":{WHOLE}' in text
        cursor.execute(f"SELECT input, output FROM {WorkflowExecution._meta.db_table}")
        given, output = cursor.fetchone()
    assert given == f'{{"amount":{LONG}}}'
    assert f'"total":{LONG}' in output


def test_digits_survive_in_the_execution_as_json(ran):
    shown = execution_json(execution_by_id(str(ran.execution_id)))
    assert floats_in(shown) == []
    text = jsontext.dumps(shown)
    assert f'"amount":{LONG}' in text
    assert f'"total":{LONG}' in text
    assert ran.output_data == jsontext.loads(text)["output"]


def test_a_tool_that_declares_a_float_gets_one_and_gives_the_decimal_that_it_shows(owner, tools):
    got = []

    @tool("test.half", effect="none")
    def half(amount: float, exact: Decimal, values: list[float]) -> dict[str, object]:
        got.extend([amount, exact, values[0]])
        return {"half": amount / 2, "exact": exact, "tenth": 0.1}

    result = run_text(
        """name: floats
nodes:
  - {key: t, type: trigger}
  - {key: a, type: tool, tool: test.half, inputs: {amount: 0.2, exact: 1.10, values: [0.3, 1]}}
edges: [{from: t, to: a}]
""",
        owner,
    )
    assert [type(value) for value in got] == [float, Decimal, float]
    assert str(got[1]) == "1.10"
    assert outputs(result)["a"] == {"half": Decimal("0.1"), "exact": Decimal("1.10"), "tenth": Decimal("0.1")}
    assert floats_in(outputs(result)) == []


def test_a_float_as_input_is_the_decimal_that_it_shows(owner):
    workflow, _ = save(read("name: f\nnodes: [{key: t, type: trigger}]\nedges: []\n"), owner)
    result = asyncio.run(WorkflowExecutor().execute(workflow.id, {"x": 0.1}))
    assert result.output_data == {"t": {"x": Decimal("0.1")}}
    assert floats_in(result.output_data) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Decimal("NaN"), 2**257, "\0", "\ud800", {1, 2}])
def test_an_input_that_no_record_can_hold_is_refused_before_anything_is_written(owner, value):
    workflow, _ = save(read("name: f\nnodes: [{key: t, type: trigger}]\nedges: []\n"), owner)
    with pytest.raises(jsontext.JsonError, match="x"):
        asyncio.run(WorkflowExecutor().execute(workflow.id, {"x": value}))
    assert not WorkflowExecution.objects.exists()


def test_digits_survive_in_what_a_tool_logs(owner, tools):
    @tool("test.tell", effect="none")
    async def tell(context: ToolContext) -> None:
        context.log("paid", amount=Decimal(LONG))

    run_text(
        """name: told
nodes: [{key: t, type: trigger}, {key: a, type: tool, tool: test.tell, inputs: {}}]
edges: [{from: t, to: a}]
""",
        owner,
    )
    assert ExecutionLog.objects.get(event="log").data == {"amount": Decimal(LONG)}


def test_input_and_output_of_a_node_are_the_same_numbers(ran):
    assert row(ran, "a").input == row(ran, "a").output
