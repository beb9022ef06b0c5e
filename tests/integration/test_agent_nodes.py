"""Agent nodes in real runs: retries, cancels, keys, what is on record, and the demo with all types of nodes."""

import asyncio
import logging
import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.apps import apps

from executions_app.dispatch import runner
from executions_app.executor import WorkflowExecutor
from executions_app.models import ExecutionLog, NodeExecution, WorkflowExecution, ownership, querysets
from executions_app.queries import execution_json
from executions_app.recorder.writer import Run, write
from executions_app.services.start import StartRequest, start
from tests.eventually import eventually
from tests.http_server import plain, serving_in_thread
from tests.integration.conftest import document
from tests.integration.runs import run_text
from tests.integration.test_sink_contract import Events
from tests.model_server import fails, hands_in, one_by_one, says, sent, wishes
from workflows_app.agents.limits import AgentLimits
from workflows_app.agents.prices import FREE, price_of
from workflows_app.checks import check_agent_prices, check_agent_providers
from workflows_app.dag import jsontext, yamltext
from workflows_app.services.compile import plan_of
from workflows_app.services.secrets import NewSecret, set_secret

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parents[2]
KEY = "sk-do-not-tell-4711"


@pytest.fixture
def serve(settings, monkeypatch):
    """A server that gives these answers as the provider `local`."""
    monkeypatch.setenv("LOCAL_KEY", KEY)

    def serve_(*answers, **entry):
        def know(server):
            local = {"kind": "openai", "base_url": f"{server.url}/v1", "api_key_env": "LOCAL_KEY", **entry}
            settings.PASTETRADER = {**settings.PASTETRADER, "AGENT_PROVIDERS": {"local": local}}

        return know, serving_in_thread(answers[0] if callable(answers[0]) else one_by_one(*answers))

    return serve_


def agent(**fields):
    return {"type": "agent", "provider": "local", "model": "small", "prompt": "What of ${{ input.symbol }}?", **fields}


def execute(workflow):
    return asyncio.run(WorkflowExecutor().execute(workflow.id, {"symbol": "AAPL"}))


def run_served(served, import_document, **fields):
    know, serving = served
    with serving as server:
        know(server)
        return execute(import_document(document("t>a", a=agent(**fields)))), server


def journal(key="a"):
    return [(line.level, line.message, line.data) for line in ExecutionLog.objects.filter(node=key, event="log")]


def dump():
    """Every value of every table."""
    return "".join(
        jsontext.dumps([str(value) for value in row])
        for model in apps.get_models()
        for row in model._base_manager.values_list()
    )


def test_a_busy_provider_is_asked_again_and_what_is_sent_is_on_record(import_document, serve):
    served = serve(fails(429, "slow down", retry_after="0"), fails(500), says("Hold."))
    retry = {"max_retries": 3, "delay": 0, "retry_on": ["ModelBusy", "ModelUnavailable"]}
    result, server = run_served(served, import_document, retry=retry, system="You know ${{ input.symbol }}.")
    assert (result.status, result.node_results["a"].retry_count, len(server.requests)) == ("completed", 2, 3)
    assert result.node_results["a"].output_data == {"text": "Hold."}
    row = NodeExecution.objects.get(key="a")
    assert row.input == {"system": "You know AAPL.", "prompt": "What of AAPL?", "input": None}


def test_what_is_refused_is_not_asked_again(import_document, serve):
    retry = {"max_retries": 3, "delay": 0}
    result, server = run_served(serve(fails(404, "no such model")), import_document, retry=retry)
    error = result.node_results["a"].error
    assert (error["type"], error["code"], len(server.requests)) == ("ModelRefused", "model_refused", 1)


def test_a_key_is_in_no_table_and_no_log_whatever_the_provider_does_with_it(import_document, serve, caplog):
    caplog.set_level(logging.DEBUG)
    served = serve(fails(500, f"{KEY} is tired"), says(f"It is {KEY}."))
    result, server = run_served(served, import_document, retry={"max_retries": 1, "delay": 0})
    assert result.node_results["a"].output_data == {"text": "It is ***."}
    assert {request.headers["authorization"] for request in server.requests} == {f"Bearer {KEY}"}
    everything = dump()
    assert "*** is tired" in everything
    assert KEY not in everything
    # Not even without the filter that other handlers have.
    assert KEY not in caplog.text


def test_inputs_may_use_secrets_which_are_sent_and_not_on_record(import_document, serve, owner):
    set_secret(NewSecret(name="ACCOUNT", value="DE-4711-0815"), owner)
    fields = {"inputs": {"account": "${{ secrets.ACCOUNT }}"}}
    result, server = run_served(serve(says("DE-4711-0815 it is.")), import_document, **fields)
    assert sent(server.requests[0])["messages"][-1]["content"].endswith('\n\n{"account":"DE-4711-0815"}')
    assert result.node_results["a"].output_data == {"text": "*** it is."}
    assert NodeExecution.objects.get(key="a").input["input"] == {"account": "***"}
    assert "DE-4711-0815" not in dump()


def test_the_owners_secret_can_be_the_key(import_document, serve, owner, settings):
    set_secret(NewSecret(name="MODEL_KEY", value=KEY), owner)
    know, serving = serve(says("Hold."))
    with serving as server:
        know(server)
        workflow = import_document(document("t>a", a=agent()))
        assert execute(workflow).status == "completed"
        # What was saved before has it from now on.
        (local,) = settings.PASTETRADER["AGENT_PROVIDERS"].values()
        entry = {**local, "api_key_env": "", "api_key_secret": "MODEL_KEY"}
        settings.PASTETRADER = {**settings.PASTETRADER, "AGENT_PROVIDERS": {"local": entry}}
        assert execute(workflow).status == "completed"
    assert [request.headers["authorization"] for request in server.requests] == [f"Bearer {KEY}"] * 2
    assert KEY not in dump()


def test_a_cancel_in_the_middle_of_an_answer_closes_its_connection(import_document, serve):
    async def cancelled():
        running = asyncio.ensure_future(WorkflowExecutor().execute(workflow.id, {"symbol": "AAPL"}))
        there.append((asyncio.get_running_loop(), running))
        with pytest.raises(asyncio.CancelledError):
            await running

    async def hang(_request, _connection):
        # A cancel of the awaiting task is the user's.
        loop, running = there[0]
        loop.call_soon_threadsafe(running.cancel)
        await asyncio.Event().wait()

    there = []
    know, serving = serve(hang)
    with serving as server:
        know(server)
        workflow = import_document(document("t>a", a=agent()))
        asyncio.run(cancelled())
        eventually(lambda: server.ended == 1)
    result = execution_json(WorkflowExecution.objects.get())
    assert (result["status"], result["nodes"][1]["status"], result["nodes"][1]["error"]) == ("cancelled",) * 2 + (None,)


def test_a_model_that_hangs_runs_into_the_time_limit_of_its_node(import_document, serve):
    async def hang(_request, _connection):
        await asyncio.Event().wait()

    # The library is loaded by now, where it can be: the limit is for the request.
    _ = run_served(serve(says("Hold.")), import_document)
    know, serving = serve(hang)
    with serving as server:
        know(server)
        workflow = import_document(document("t>b", name="hanging", b=agent(timeout_seconds=Decimal("0.5"))))
        result = execute(workflow)
        eventually(lambda: server.ended == 1)
    assert (result.node_results["b"].status, result.node_results["b"].reason) == ("failed", "timeout")


@pytest.mark.parametrize(
    ("fields", "requests", "end"),
    [({}, 1, ("completed", "")), ({"effect": "at_most_once"}, 0, ("failed", "crashed"))],
)
def test_after_a_crash_a_model_is_asked_again_unless_the_node_forbids_it(import_document, serve, fields, requests, end):
    know, serving = serve(says("Hold."))
    with serving as server:
        know(server)
        workflow = import_document(document("t>a", a=agent(**fields)))
        execution = start(StartRequest(target=workflow, input={"symbol": "AAPL"})).execution
        claim = ownership.claim(execution.id, "dead", 30)
        run = Run(execution_id=execution.id, fence=claim.fence, seq=claim.last_seq, plan=plan_of(execution.version))
        events = Events()
        write([(run, [events.started(0), events.settled(0), events.started(1)])])
        WorkflowExecution.objects.filter(pk=execution.id).update(lease_until=querysets.now() - timedelta(seconds=1))
        (seen,) = ownership.abandoned([], 10)
        assert asyncio.run(runner.resume(seen))
    row = NodeExecution.objects.get(key="a")
    assert (len(server.requests), (row.status, row.reason)) == (requests, end)


def test_fifty_agents_of_a_run_ask_at_the_same_time(import_document, serve):
    async def answer(request, connection):
        waiting.append(connection)
        if len(waiting) == 50:
            for one in waiting:
                one.write(hands_in('{"value": 1.10}', tokens=(3, 2)))

    waiting = []
    know, serving = serve(answer)
    keys = [f"n{number}" for number in range(50)]
    nodes = {key: agent(output_schema={"type": "number"}) for key in keys}
    total = {"type": "aggregator", "strategy": "sum"}
    edges = [edge for key in keys for edge in (f"t>{key}", f"{key}>total")]
    with serving as server:
        know(server)
        made = document(*edges, **nodes, total=total, settings={"max_parallel_nodes": 50})
        result = execute(import_document(made))
    assert (result.status, len(server.requests)) == ("completed", 50)
    assert result.node_results["total"].output_data == Decimal("55.00")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"provider": "nowhere"}, "There is no provider 'nowhere' here: the settings know 'scripted' and 'default'."),
    ],
)
def test_what_cannot_be_run_says_why(import_document, fields, sentence):
    result = execute(import_document(document("t>a", a=agent(**fields))))
    error = result.node_results["a"].error
    assert (error["code"], sentence in error["message"]) == ("configuration", True)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"AGENT_PROVIDERS": ["glm"]}, "It is no mapping of names to providers."),
        ({"AGENT_PROVIDERS": {"glm": "openai"}}, "The provider 'glm' is no mapping with a 'kind'."),
        ({"AGENT_PROVIDERS": {"glm": {"kind": "glm"}}}, "The 'kind' of the provider 'glm' must be scripted, openai or"),
        ({"AGENT_PROVIDERS": {"glm": {"kind": "openai", "api_key": "x"}}}, "'glm' has 'api_key': it can have"),
        ({"AGENT_PROVIDERS": {"glm": {"kind": "openai", "base_url": "glm"}}}, "'base_url' of the provider 'glm' is no"),
        ({"AGENT_PROVIDERS": {"glm": {"kind": "openai", "api_key_env": "sk-1"}}}, "the key itself is not said here"),
        (
            {"AGENT_PROVIDERS": {"glm": {"kind": "openai", "api_key_env": "A", "api_key_secret": "B"}}},
            "keep one of them",
        ),
        ({"AGENT_PROVIDER": "gpt"}, "write scripted, openai:MODEL, anthropic:MODEL or openai:MODEL@URL"),
    ],
)  # fmt: skip
def test_a_setting_that_describes_no_provider_is_an_error_and_fails_agents_only(
    settings, import_document, setting, sentence
):
    settings.PASTETRADER = {**settings.PASTETRADER, **setting}
    (found,) = check_agent_providers(None)
    assert (found.id, sentence in found.msg) == ("pastetrader.E033", True)
    result = execute(import_document(document("t>a", "t>b", a=agent(provider="glm"))))
    assert (result.node_results["a"].error["code"], result.node_results["b"].status) == ("configuration", "completed")


DEMO = (ROOT / "demo" / "rsi-report.yaml").read_text(encoding="utf-8")


def test_the_demo_has_all_types_of_nodes_and_says_that_its_model_is_scripted(owner):
    result = run_text(DEMO, owner, {"symbol": "AAPL"})
    assert result.status == "completed"
    assert result.output_data["report"]["text"].startswith("Scripted answer, no model was asked. The prompt: AAPL")
    assert result.output_data["report"]["signal"] == "oversold"
    assert journal("words")[0] == ("warning", "The model is scripted: no model is asked.", {"scripted": True})
    assert set(NodeExecution.objects.values_list("type", flat=True)) == {
        "trigger", "tool", "agent", "condition", "adapter", "aggregator",
    }  # fmt: skip


def test_the_demo_asks_a_real_service_where_one_variable_says_so(owner, settings, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serving_in_thread(one_by_one(says("It fell a lot."))) as server:
        settings.PASTETRADER = {**settings.PASTETRADER, "AGENT_PROVIDER": f"openai:small@{server.url}/v1"}
        result = run_text(DEMO, owner)
    assert result.output_data["report"]["text"] == "It fell a lot."
    assert sent(server.requests[0])["model"] == "small"


PAGE = (ROOT / "docs" / "agents.md").read_text(encoding="utf-8")


EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_example_of_the_page_gives_what_the_page_says(owner):
    (output,) = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    result = run_text(EXAMPLES[0], owner, {"headline": "Profits fall"})
    assert jsontext.dumps(result.node_results["judge"].output_data) == jsontext.dumps(jsontext.loads(output))


def test_the_tools_of_the_page_are_called(owner, settings, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    asked = '{"symbol": "AAPL", "since": "2015-03-01"}'
    with serving_in_thread(one_by_one(wishes(("market_prices", asked)), says("No."))) as server:
        settings.PASTETRADER = {**settings.PASTETRADER, "AGENT_PROVIDER": f"openai:small@{server.url}/v1"}
        result = run_text(EXAMPLES[1], owner)
    assert result.node_results["analyst"].output_data == {"text": "No."}
    assert "closes" in jsontext.loads(sent(server.requests[1])["messages"][-1]["content"])


def test_the_page_has_all_limits_of_the_document():
    known = set(re.findall(r"^\| `(\w+)`", PAGE.partition("## Limits")[2].partition("## Prices")[0], re.MULTILINE))
    assert known == set(AgentLimits.__struct_fields__)
    for example in EXAMPLES:
        assert yamltext.load(example).value["nodes"][1]["limits"].keys() <= known


def test_the_providers_and_prices_of_the_page_are_such(settings):
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    said = {}
    exec(code, said)  # noqa: S102 - the page's own example
    settings.PASTETRADER = said["PASTETRADER"]
    assert check_agent_providers(None) == check_agent_prices(None) == []
    assert price_of("own", "small") == FREE


def test_garbage_fails_its_node_alone(import_document, serve):
    result, _ = run_served(serve(plain(200, b"\x00\xff" * 1000)), import_document)
    assert result.node_results["a"].error["type"] == "ModelAnswerError"
