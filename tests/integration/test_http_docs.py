"""What docs/http.md says is what happens: its example runs, its tables name what there is."""

import asyncio
import re
from decimal import Decimal

import pytest

from executions_app.conf import execution_settings
from executions_app.executor import WorkflowExecutor
from tests.architecture.source import ROOT
from tests.http_server import json, serving_in_thread
from workflows_app.services.documents import read, save
from workflows_app.tools.http import errors
from workflows_app.tools.registry import registry

PAGE = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")
CODE = dict(re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL))


def rows(heading):
    """The first cells of the table below a heading."""
    table = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("price", "posted"), [("100.10", 1), ("99.90", 0)])
def test_the_example_fetches_branches_and_posts(settings, owner, price, posted):
    async def answer(request, connection):
        connection.write(json(f'{{"price": {price}}}'))

    with serving_in_thread(answer) as server:
        allowed = {}
        exec(CODE["python"].replace("8080", str(server.port)), allowed)  # noqa: S102 - a page of this repository
        settings.PASTETRADER = {**settings.PASTETRADER, **allowed["PASTETRADER"]}
        workflow, _ = save(read(CODE["yaml"].replace("8080", str(server.port))), owner)
        result = asyncio.run(WorkflowExecutor().execute(workflow.id, {"symbol": "AAPL", "token": "t"}))
    assert result.status == "completed"
    assert server.requests[0].target == "/prices?symbol=AAPL"
    assert result.node_results["fetch"].output_data["body"] == {"price": Decimal(price)}
    assert len(server.requests) == 1 + posted
    for request in server.requests[1:]:
        assert (request.method, request.target, request.body) == (
            "POST", "/reports", f'{{"symbol":"AAPL","price":{price}}}'.encode(),
        )  # fmt: skip
        assert request.headers["authorization"] == "Bearer t"
        assert request.headers["idempotency-key"] == f"{result.execution_id}:report"


def test_the_page_names_every_input():
    named = [name for cell in rows("Inputs") for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(named) == sorted(registry.get("http.request").signature.inputs)


def test_the_page_names_every_error_with_its_base_and_whether_it_is_retried():
    told = re.findall(r"^\| `(Http\w+)` \| `?(\w*)`? \| .* \| (.*) \|$", PAGE, re.MULTILINE)
    kinds = {name: kind for name, kind in vars(errors).items() if name.startswith("Http")}
    assert {name for name, _, _ in told} == set(kinds)
    for name, base, retried in told[1:]:
        assert kinds[name].__base__.__name__ == base
        assert kinds[name].retryable is (retried != "never"), name


def test_the_limits_are_the_defaults(settings):
    settings.PASTETRADER = {}
    limits = execution_settings().http
    table = PAGE.partition("## Limits\n")[2]
    assert f"| {limits.total_seconds:g} s | `HTTP_TIMEOUT_SECONDS`" in table
    assert f"| {limits.connect_seconds:g} s | `HTTP_CONNECT_SECONDS`" in table
    assert f"| {limits.response_bytes // 1024**2} MiB | `HTTP_RESPONSE_BYTES`" in table
    assert f"| {limits.header_count}, {limits.header_bytes // 1024} KiB | `HTTP_HEADERS`" in table
    assert f"| {limits.json_depth} | `HTTP_JSON_DEPTH`" in table
    assert f"| {limits.connections} | `HTTP_CONNECTIONS`" in table
