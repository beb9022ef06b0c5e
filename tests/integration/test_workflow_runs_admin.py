"""Runs of workflows from the admin: the bars in the list, several at once, and the form made of a schema."""

import asyncio
import re

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext

from executions_app.executor import WorkflowExecutor
from executions_app.models import WorkflowExecution
from executions_app.services.start import StartRequest, start
from executions_app.workflow_runs import newest_runs
from tests.integration.admin import EVERYDAY, WORKFLOWS, browser_of, member, page_of, text_of, told
from tests.integration.conftest import document
from workflows_app.dag import jsontext
from workflows_app.models import AuditEntry, Workflow
from workflows_app.services import editing
from workflows_app.services.editing import Edit

pytestmark = pytest.mark.django_db(transaction=True)

EXECUTION = "/admin/executions_app/workflowexecution/"
AMOUNT = "1234567890123456789.012345678"
SCHEMA = {
    "type": "object",
    "required": ["symbol", "amount"],
    "properties": {
        "symbol": {"type": "string", "title": "Share", "description": "Its ticker", "maxLength": 4},
        "amount": {"type": "number", "exclusiveMinimum": 0},
        "count": {"type": "integer", "default": 3, "maximum": 9},
        "side": {"enum": ["buy", "sell", 7], "default": "buy"},
        "day": {"type": "string", "format": "date"},
        "dry": {"type": "boolean", "default": True},
        "sure": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "additionalProperties": False,
}
# The names of the fields, by their place in the schema.
FIELDS = {name: f"input-{number}" for number, name in enumerate(SCHEMA["properties"])}


@pytest.fixture
def order(import_document):
    return import_document(document("t>a", name="order", input_schema=SCHEMA))


@pytest.fixture
def plain(import_document):
    return import_document(document("t>a", name="plain"))


@pytest.fixture
def browser(owner):
    return browser_of(owner)


def filled(**values):
    return {FIELDS.get(name, name): value for name, value in values.items()}


def run_page(browser, workflow, **values):
    return browser.post(page_of(workflow, "run"), filled(**values))


def errors_of(response):
    by_field = {field: name for name, field in FIELDS.items()}
    return {by_field.get(field, field): list(errors) for field, errors in response.context["form"].errors.items()}


def run(workflow, **data):
    return asyncio.run(WorkflowExecutor().execute(workflow.id, data))


def act(browser, *workflows):
    data = {"action": "run_selected", "_selected_action": [str(workflow.pk) for workflow in workflows]}
    return browser.post(WORKFLOWS, data, follow=True)


# --- bars


def test_the_last_runs_are_bars_that_lead_to_their_executions_the_newest_at_the_end(browser, import_document):
    fails = {"type": "tool", "tool": "core.fail", "inputs": {"message": "no"}}
    bad = import_document(document("t>a", name="bad", a=fails))
    good = import_document(document("t>a", name="good"))
    first, second = run(bad).execution_id, run(good).execution_id
    pending = start(StartRequest(target=good, input={})).execution
    page = browser.get(WORKFLOWS).content.decode()
    bars = re.findall(r'<a class="pt-(\w+)" href="([^"]+)">.*?aria-label="([^"]+)"', page)
    assert [(state, address) for state, address, _ in bars] == [
        ("failed", f"{EXECUTION}{first}/change/"),
        ("completed", f"{EXECUTION}{second}/change/"),
        ("pending", f"{EXECUTION}{pending.pk}/change/"),
    ]
    assert bars[0][2].startswith("failed, a node failed, ")


def test_there_are_ten_bars_at_most_of_each_workflow_and_of_no_other(order, plain):
    ids = [start(StartRequest(target=plain, input={})).execution.pk for _ in range(12)]
    one = start(StartRequest(target=order, input={"symbol": "A", "amount": 1})).execution.pk
    found = newest_runs([order.pk, plain.pk], 10)
    assert [run.id for run in found[plain.pk]] == ids[2:]
    assert [run.id for run in found[order.pk]] == [one]
    assert newest_runs([], 10) == {}


def test_bars_cost_one_query_however_many_workflows_there_are(browser, import_document, plain):
    _ = start(StartRequest(target=plain, input={}))
    _ = browser.get(WORKFLOWS)
    with CaptureQueriesContext(connection) as one:
        _ = browser.get(WORKFLOWS)
    for number in range(20):
        more = import_document(document("t>a", name=f"more-{number}"))
        _ = start(StartRequest(target=more, input={}))
    with CaptureQueriesContext(connection) as many:
        page = browser.get(WORKFLOWS).content.decode()
    assert page.count('class="pt-pending"') == 21
    assert len(many) == len(one)


# --- several


def test_selected_workflows_are_started_and_each_that_is_not_says_why(browser, owner, order, plain, import_document):
    off = import_document(document("t>a", name="off"))
    _ = editing.change(Edit(workflow=off, user=owner, version=None), {}, is_active=False)
    alone = import_document(document("t>a", name="alone", settings={"allow_concurrent": False}))
    _ = start(StartRequest(target=alone, input={}))
    page = act(browser, order, plain, off, alone)
    first, *skipped = told(page)
    execution = WorkflowExecution.objects.get(workflow=plain)
    assert first.startswith("1 of 4 workflows are started.")
    assert f"{EXECUTION}{execution.pk}/change/" in first
    assert execution.started_by == owner
    reasons = " ".join(skipped)
    assert len(skipped) == 3
    for words in ("fill in 'symbol', 'amount' on its run page", "is not active", "allows one execution at a time"):
        assert words.replace("'", "&#x27;") in reasons or words in reasons
    assert page_of(order, "run") in reasons
    assert AuditEntry.objects.get(verb="execution.started", actor_id=owner.pk).address == "127.0.0.1"


def test_what_the_schema_suggests_is_the_input_of_one_that_is_run_among_several(browser, import_document):
    schema = {"required": ["n"], "properties": {"n": {"default": jsontext.loads(AMOUNT)}, "m": {"type": "string"}}}
    given = import_document(document("t>a", name="given", input_schema=schema))
    assert told(act(browser, given))[0].startswith("1 of 1 workflow is started.")
    assert jsontext.dumps(WorkflowExecution.objects.get().input) == f'{{"n":{AMOUNT}}}'


def test_a_viewer_starts_none_of_several_and_is_told_so(plain):
    viewer = browser_of(member("emmy", plain, "viewer"))
    first, second = told(act(viewer, plain))
    assert first.startswith("0 of 1 workflow")
    assert "Your role does not allow to run this" in second
    assert not WorkflowExecution.objects.exists()


def test_the_action_is_offered_only_with_the_permission_of_the_model(owner, plain):
    viewer = browser_of(owner, [name for name in EVERYDAY if name != "add_workflowexecution"])
    assert "run_selected" not in text_of(viewer.get(WORKFLOWS))
    _ = act(viewer, plain)
    assert not WorkflowExecution.objects.exists()
    assert viewer.get(page_of(plain, "run")).status_code == 403


def test_a_get_starts_nothing(browser, plain):
    for address in (page_of(plain, "run"), f"{WORKFLOWS}?action=run_selected&_selected_action={plain.pk}"):
        _ = browser.get(address)
    assert not WorkflowExecution.objects.exists()


# --- the form


def test_the_form_has_a_field_of_its_kind_for_each_property(browser, order):
    page = browser.get(page_of(order, "run"))
    form = page.context["form"]
    kinds = {name: type(form.fields[field]).__name__.strip("_") for name, field in FIELDS.items()}
    assert kinds == {
        "symbol": "CharField",
        "amount": "JsonField",
        "count": "JsonField",
        "side": "ChoiceField",
        "day": "CharField",
        "dry": "BooleanField",
        "sure": "ChoiceField",
        "tags": "JsonField",
    }
    shown = text_of(page)
    for words in ("Share", "Its ticker", "max length 4", "exclusive minimum 0", 'type="date"', 'value="3"', "checked"):
        assert words in shown


def test_a_run_is_started_with_what_was_filled_in_and_every_digit(browser, order, owner):
    answer = run_page(
        browser, order, symbol="AAPL", amount=AMOUNT, count=" 4 ", side="7", day="2026-01-31", sure="false",
        tags='["a", "b"]', labels="night, late",
    )  # fmt: skip
    execution = WorkflowExecution.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"{EXECUTION}{execution.pk}/change/")
    assert jsontext.dumps(execution.input) == (
        f'{{"symbol":"AAPL","amount":{AMOUNT},"count":4,"side":7,"day":"2026-01-31","dry":false,"sure":false,'
        '"tags":["a","b"]}'
    )
    assert (execution.started_by, execution.labels) == (owner, ["night", "late"])
    assert AuditEntry.objects.get(verb="execution.started").address == "127.0.0.1"


def test_what_is_left_empty_is_left_out(browser, order):
    _ = run_page(browser, order, symbol="A", amount="1", dry="on")
    assert WorkflowExecution.objects.get().input == {"symbol": "A", "amount": 1, "dry": True}


@pytest.mark.parametrize(
    ("values", "field", "sentence"),
    [
        ({"symbol": "TOOLONG"}, "symbol", "too long"),
        ({"symbol": ""}, "symbol", "required"),
        ({"amount": "0"}, "amount", "less than or equal to the minimum"),
        ({"amount": "1,5"}, "amount", "This must be a number"),
        ({"amount": "NaN"}, "amount", "This must be a number"),
        ({"amount": "true"}, "amount", "This must be a number"),
        ({"amount": '"1"'}, "amount", "This must be a number"),
        ({"amount": "1" * 90}, "amount", "256 bits"),
        ({"amount": "1e999"}, "amount", "exponent"),
        ({"count": "1.5"}, "count", "is not of type 'integer'"),
        ({"count": "10"}, "count", "greater than the maximum"),
        ({"side": "hold"}, "side", "not one of the available choices"),
        ({"tags": "a, b"}, "tags", "This must be JSON."),
        ({"tags": "[1]"}, "tags", "tags.0: 1 is not of type 'string'."),
        ({"tags": "{}"}, "tags", "is not of type 'array'"),
    ],
)
def test_what_does_not_fit_is_said_at_its_field_and_everything_typed_is_kept(browser, order, values, field, sentence):
    typed = {"symbol": "AAPL", "amount": AMOUNT, "labels": "mine", **values}
    page = run_page(browser, order, **typed)
    assert page.status_code == 200
    assert sentence in " ".join(errors_of(page)[field])
    assert errors_of(page).keys() == {field}
    assert "Nothing was started" in text_of(page)
    assert not WorkflowExecution.objects.exists()
    for name in ("amount", "labels"):
        assert page.context["form"][FIELDS.get(name, name)].value() == typed[name]


def test_the_input_may_be_written_as_json(browser, order):
    address = f"{page_of(order, 'run')}?as=json"
    assert "Input (JSON)" in text_of(browser.get(address))
    answer = browser.post(address, {"input": f'{{"symbol": "A", "amount": {AMOUNT}}}'})
    assert answer.status_code == 302
    assert jsontext.dumps(WorkflowExecution.objects.get().input) == f'{{"symbol":"A","amount":{AMOUNT}}}'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[1]", "must be a JSON object"),
        ("{", "must be a JSON object"),
        ("7", "must be a JSON object"),
        ("{}", "'symbol' is a required property"),
        ('{"symbol": "A", "amount": 1, "extra": 2}', "extra"),
    ],
)
def test_json_that_does_not_fit_is_said_and_kept(browser, order, text, sentence):
    page = browser.post(f"{page_of(order, 'run')}?as=json", {"input": text})
    assert sentence in " ".join(page.context["form"].errors["input"])
    assert page.context["form"]["input"].value() == text


def test_a_workflow_without_a_schema_takes_any_object(browser, plain):
    assert "Input (JSON)" in text_of(browser.get(page_of(plain, "run")))
    assert browser.post(page_of(plain, "run"), {"input": f'{{"x": {AMOUNT}}}'}).status_code == 302
    assert browser.post(page_of(plain, "run"), {"input": ""}).status_code == 302
    inputs = [jsontext.dumps(one.input) for one in WorkflowExecution.objects.order_by("created_at")]
    assert inputs == [f'{{"x":{AMOUNT}}}', "{}"]


def test_the_form_is_filled_in_as_the_last_time_of_the_user_or_of_anybody(browser, order):
    operator = member("emmy", order, "operator")
    _ = start(StartRequest(target=order, input=jsontext.loads(f'{{"symbol":"OLD","amount":{AMOUNT}}}'), user=operator))
    assert browser.get(page_of(order, "run")).context["form"][FIELDS["symbol"]].value() == "OLD"
    mine = start(StartRequest(target=order, input={"symbol": "MINE", "amount": 1}, user=order.owner)).execution
    last = start(StartRequest(target=order, input={"symbol": "LAST", "amount": 1}, user=operator)).execution
    page = browser.get(page_of(order, "run"))
    assert page.context["form"][FIELDS["symbol"]].value() == "MINE"
    assert f"{EXECUTION}{mine.pk}/change/" in text_of(page)
    theirs = browser_of(operator).get(page_of(order, "run"))
    assert theirs.context["form"][FIELDS["symbol"]].value() == "LAST"
    chosen = browser.get(f"{page_of(order, 'run')}?from={last.pk}")
    assert chosen.context["form"][FIELDS["symbol"]].value() == "LAST"
    fresh = browser.get(f"{page_of(order, 'run')}?from=defaults").context["form"]
    assert [fresh[FIELDS[name]].value() for name in ("symbol", "count", "side")] == ["", "3", '"buy"']


def test_all_digits_of_the_last_input_are_in_the_form(browser, order):
    _ = start(StartRequest(target=order, input=jsontext.loads(f'{{"symbol":"A","amount":{AMOUNT}}}')))
    assert f'value="{AMOUNT}"' in text_of(browser.get(page_of(order, "run")))
    assert AMOUNT in text_of(browser.get(f"{page_of(order, 'run')}?as=json"))


def test_the_input_of_an_execution_that_a_user_may_not_see_fills_in_nothing(browser, order, plain):
    stranger = get_user_model().objects.create_user("emmy")
    hidden = editing.duplicate(plain, get_user_model().objects.create_superuser("root"))
    secret = start(StartRequest(target=hidden, input={"symbol": "SECRET"})).execution
    for wanted in (secret.pk, "nothing"):
        answer = browser.get(f"{page_of(order, 'run')}?from={wanted}")
        assert (answer.status_code, b"SECRET" in answer.content) == (404, False)
    assert browser_of(stranger).get(page_of(order, "run")).status_code == 404


def test_a_form_that_is_sent_twice_starts_one_execution_and_another_content_another(browser, order):
    key = browser.get(page_of(order, "run")).context["form"]["key"].value()
    one = run_page(browser, order, symbol="A", amount="1", key=key)
    again = browser.post(page_of(order, "run"), filled(symbol="A", amount="1", key=key), follow=True)
    assert told(again) == ["This form had started this execution already: nothing new was started."]
    assert again.redirect_chain[0][0] == one["Location"]
    other = run_page(browser, order, symbol="B", amount="1", key=key)
    assert other["Location"] != one["Location"]
    assert WorkflowExecution.objects.count() == 2


def test_a_run_that_is_refused_says_why_on_the_form(browser, order, owner):
    Workflow.objects.filter(pk=order.pk).update(is_active=False)
    page = run_page(browser, order, symbol="KEPT", amount="1")
    assert "is not active: activate it before you run it" in text_of(page)
    assert "KEPT" in text_of(page)
    assert not WorkflowExecution.objects.exists()


def test_an_operator_of_a_shared_workflow_runs_it_and_a_viewer_is_told_why_not(order):
    operator = browser_of(member("emmy", order, "operator"))
    assert run_page(operator, order, symbol="A", amount="1").status_code == 302
    viewer = browser_of(member("sofia", order, "viewer"))
    for answer in (viewer.get(page_of(order, "run")), run_page(viewer, order, symbol="A", amount="1")):
        assert answer.status_code == 403
        assert "Your role does not allow to run this" in text_of(answer)
    assert WorkflowExecution.objects.count() == 1


# --- runs on the page of a workflow


def test_the_page_of_a_workflow_has_its_newest_runs_beside_what_is_usual(browser, plain, owner):
    ids = [run(plain).execution_id for _ in range(22)]
    page = browser.get(page_of(plain))
    rows = page.context["runs"]
    assert [row.execution.pk for row, _ in rows] == ids[:1:-1]
    assert page.context["median"] > 0
    assert all(row.share is not None and row.duration_ms > 0 for row, _ in rows)
    shown = text_of(page)
    assert f"{EXECUTION}?workflow={plain.pk}" in shown
    assert f"{EXECUTION}{ids[-1]}/change/" in shown
    assert f"{ids[0]}" not in shown


def test_the_page_of_a_workflow_that_never_ran_says_so(browser, plain):
    assert "It was not run yet." in text_of(browser.get(page_of(plain)))
