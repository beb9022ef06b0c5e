"""The catalogue of tools in the admin: who sees what, the form to try a tool, and the forms of those of the site."""

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from tests.integration.admin import browser_of
from tests.integration.staff import browser, staff, superuser, text_of, told
from workflows_app.models import AuditEntry, ConfiguredTool
from workflows_app.services import tools as tool_services
from workflows_app.services.site import Edit
from workflows_app.services.tools import Recipe
from workflows_app.tools import ToolContext, tool

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/workflows_app/configuredtool/"
ADD = f"{LIST}add/"
AMOUNT = "1234567890123456789012345.6780"
XSS = "<img src=x onerror=alert(1)>"


def entry(name: str) -> str:
    return f"{LIST}tool/{name}/"


def make(user: Any, **more: Any) -> ConfiguredTool:
    fields: dict[str, Any] = {"name": "site.set", "kind": "core.set", "configuration": {"a": "${{ input.b }}"}}
    return tool_services.create(Recipe(**{**fields, **more}), user)


@pytest.fixture
def calls(tools):
    """What a registered tool with an effect was called with."""
    found: list[dict[str, Any]] = []

    @tool("test.pay", effect="at_most_once", description=f"Pay {XSS}")
    def pay(context: ToolContext, amount: Decimal, to: str, urgent: bool = False) -> dict[str, Any]:
        context.log(f"Paid {XSS}", level="warning", to=to)
        found.append({"amount": amount, "to": to, "urgent": urgent})
        return {"receipt": f"{to} {XSS}", "amount": amount}

    return found


# Who sees what.


def test_every_member_of_the_staff_sees_the_tools_and_nobody_else(client, calls):
    assert client.get(LIST).status_code == 302
    assert client.get(entry("core.set")).status_code == 302
    eve = browser(staff("eve"))
    assert "core.set" in text_of(eve.get(LIST))
    assert "Return the inputs as they are." in text_of(eve.get(entry("core.set")))
    assert eve.get(entry("no.such")).status_code == 404
    assert eve.get(entry("core.set%00")).status_code == 404


def test_a_tool_that_is_switched_off_and_a_configuration_are_for_those_who_may_change_it(owner):
    root = superuser()
    row = make(root, configuration={"a": "for-few"})
    eve = browser(staff("eve"))
    assert "site.set" in text_of(eve.get(LIST))
    for page in (entry("site.set"), f"{LIST}{row.pk}/change/"):
        response = eve.get(page, follow=True)
        assert response.status_code == 200
        assert b"for-few" not in response.content
    assert b"for-few" in browser(root).get(f"{LIST}{row.pk}/change/").content
    tool_services.change(Edit(row=row, user=root, version=None), {"is_active": False})
    assert "site.set" not in text_of(eve.get(LIST))
    assert eve.get(entry("site.set")).status_code == 404
    assert "inactive" in text_of(browser(root).get(LIST))


def test_forms_and_deletion_take_the_permission_of_the_model(owner):
    row = make(superuser())
    eve = browser(staff("eve"))
    fields = {"name": "site.eve", "kind": "core.set", "is_active": "on"}
    assert eve.post(ADD, fields).status_code == 403
    assert eve.get(f"{LIST}{row.pk}/delete/").status_code == 403
    assert eve.post(f"{LIST}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    _ = eve.post(f"{LIST}{row.pk}/change/", {**fields, "read_version": 1})
    assert list(ConfiguredTool.objects.values_list("name", "version")) == [("site.set", 1)]


def test_a_form_from_another_site_is_refused(calls):
    root = superuser()
    client = Client(enforce_csrf_checks=True)
    client.force_login(root)
    assert client.post(ADD, {"name": "site.x", "kind": "core.set"}).status_code == 403
    assert client.post(entry("test.pay"), {"confirmed": "on"}).status_code == 403
    assert calls == []


# What the pages say.


def test_the_list_is_searched_in_names_kinds_and_descriptions(calls):
    make(superuser(), description="Sets what is wanted")
    eve = browser(staff("eve"))
    for wanted in ("site.", "WANTED", "core.set"):
        assert "site.set" in text_of(eve.get(LIST, {"q": wanted}))
    assert "test.pay" not in text_of(eve.get(LIST, {"q": "wanted"}))
    assert "No tool has this" in text_of(eve.get(LIST, {"q": "<svg onload=x>"}))
    assert b"<svg onload" not in eve.get(LIST, {"q": "<svg onload=x>"}).content


def test_the_page_of_a_tool_has_its_inputs_outputs_effect_and_an_example(calls):
    response = browser(staff("eve")).get(entry("test.pay"))
    page = text_of(response)
    rows = {row.name: (row.type, row.is_required, row.default) for row in response.context["inputs"]}
    assert rows == {
        "amount": ("number", True, ""),
        "to": ("string", True, ""),
        "urgent": ("boolean", False, "false"),
    }
    assert "must not be repeated" in page
    assert "tool: test.pay" in page
    assert XSS.encode() not in response.content


def test_a_tool_of_the_site_shows_what_a_node_gives_it():
    root = superuser()
    schema = {"properties": {"b": {"type": ["string", "null"], "description": XSS, "maxLength": 9}}}
    make(root, input_schema=schema, output_schema={"properties": {"a": {"type": "array", "items": {"type": "number"}}}})
    response = browser(root).get(entry("site.set"))
    assert [(row.name, row.type, row.bounds) for row in response.context["inputs"]] == [
        ("b", "string | null", "maxLength 9")
    ]
    assert [(row.name, row.type) for row in response.context["outputs"]] == [("a", "array of number")]
    assert XSS.encode() not in response.content


# Trying.


def test_a_tool_is_tried_with_what_the_form_says_and_every_digit_is_kept():
    response = browser(superuser()).post(f"{entry('core.set')}?as=json", {"input": f'{{"x": {AMOUNT}, "y": "{XSS}"}}'})
    assert AMOUNT in text_of(response)
    assert XSS.encode() not in response.content
    assert AuditEntry.objects.filter(verb="tool.tried", object_id="core.set", address="127.0.0.1").count() == 1


def test_a_tool_with_an_effect_is_called_only_where_that_is_confirmed(calls):
    client = browser(superuser())
    filled = {"input-0": AMOUNT, "input-1": "ada"}
    refused = client.post(entry("test.pay"), filled)
    assert "Tick this first" in text_of(refused)
    assert calls == []
    done = client.post(entry("test.pay"), {**filled, "confirmed": "on"})
    assert [(str(call["amount"]), call["to"], call["urgent"]) for call in calls] == [(AMOUNT, "ada", False)]
    page = text_of(done)
    assert "It returned after" in page
    assert AMOUNT in page
    assert "warning" in page
    assert XSS.encode() not in done.content


def test_what_is_wrong_with_the_input_and_how_a_tool_failed_is_said(calls):
    client = browser(superuser())
    wrong = client.post(entry("test.pay"), {"input-0": "much", "input-1": "ada", "confirmed": "on"})
    assert "This must be a number" in text_of(wrong)
    assert calls == []
    failed = client.post(f"{entry('core.fail')}?as=json", {"input": f'{{"message": "{XSS}", "type": "Broken"}}'})
    assert "It failed after" in text_of(failed)
    assert "Broken" in text_of(failed)
    assert XSS.encode() not in failed.content


def test_trying_takes_what_running_takes(calls):
    eve = browser(staff("eve"))
    assert "Try it" not in text_of(eve.get(entry("test.pay")))
    assert eve.post(entry("test.pay"), {"input-0": 1, "input-1": "eve", "confirmed": "on"}).status_code == 403
    assert calls == []
    ada = browser_of(get_user_model().objects.create_user("ada"), ["add_workflowexecution"])
    ada.post(entry("test.pay"), {"input-0": 1, "input-1": "ada", "confirmed": "on"})
    assert [call["to"] for call in calls] == ["ada"]


def test_a_tool_of_the_site_is_tried_with_its_configuration():
    root = superuser()
    make(root, input_schema={"properties": {"b": {"type": "integer"}}, "required": ["b"]})
    page = text_of(browser(root).post(entry("site.set"), {"input-0": "12345678901234567890123"}))
    assert '"a": 12345678901234567890123' in page


# Making, changing, deleting.


def filled(**more: Any) -> dict[str, Any]:
    return {
        "name": "site.pay",
        "kind": "test.pay",
        "description": "Pay\r\nada",
        "configuration": f'to: "${{{{ input.to }}}}"\namount: {AMOUNT}\n',
        "input_schema": '{"properties": {"to": {"minLength": 1}}, "additionalProperties": false}',
        "output_schema": "",
        "effect": "",
        "is_active": "on",
        **more,
    }


def test_a_tool_is_made_with_yaml_and_json_and_keeps_its_digits(calls):
    root = superuser()
    client = browser(root)
    made = client.post(ADD, filled(), follow=True)
    row = ConfiguredTool.objects.get()
    assert made.redirect_chain[-1][0] == entry("site.pay")
    assert "was added successfully" in told(made)[0]
    assert (row.configuration["to"], str(row.configuration["amount"])) == ("${{ input.to }}", AMOUNT)
    assert (row.description, row.output_schema, row.effect, row.created_by) == ("Pay\nada", None, None, root)
    shown = client.get(f"{LIST}{row.pk}/change/")
    assert f"amount: {AMOUNT}" in text_of(shown)
    # What the form shows is what it saves: nothing has changed.
    form = shown.context["adminform"].form
    data = {name: form[name].value() for name in form.fields}
    again = client.post(f"{LIST}{row.pk}/change/", {name: value or "" for name, value in data.items()}, follow=True)
    assert again.status_code == 200
    row.refresh_from_db()
    assert (row.version, str(row.configuration["amount"])) == (1, AMOUNT)
    assert list(AuditEntry.objects.filter(object_type="configuredtool").values_list("verb", flat=True)) == [
        "tool.created"
    ]


@pytest.mark.parametrize(
    ("more", "field", "said"),
    [
        ({"name": "pay"}, "name", "is no name for a tool"),
        ({"name": "core.set"}, "name", "There is a registered tool"),
        ({"kind": "os.system"}, "kind", "Select a valid choice"),
        ({"configuration": "to: [1"}, "configuration", "This is not the YAML"),
        ({"configuration": '{"to": tru}'}, "configuration", "This is not JSON"),
        ({"configuration": "amount: tru"}, "configuration", "'tru' is not of type"),
        ({"configuration": '{"to": "a", "to": "b"}'}, "configuration", "stands twice"),
        ({"configuration": "t: x"}, "configuration", "t: The tool 'test.pay' has no parameter 't'."),
        ({"configuration": "to: ${{ vars.x }}"}, "configuration", "There is no 'vars' here"),
        ({"configuration": "to: !!python/object:os.system x"}, "configuration", "This is not the YAML"),
        ({"configuration": "- a"}, "configuration", "is a mapping"),
        ({"input_schema": '{"type": 1}'}, "input_schema", "no valid JSON Schema"),
        ({"input_schema": "true"}, "input_schema", "A schema is a mapping"),
        ({"effect": "none"}, "effect", "can be at_most_once, not none"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_what_was_typed_is_kept(calls, more, field, said):
    response = browser(superuser()).post(ADD, filled(**more))
    errors = response.context["adminform"].form.errors
    assert list(errors) == [field]
    assert said in str(errors[field][0])
    assert field in ("kind", "effect") or response.context["adminform"].form[field].value() == more[field]
    assert ConfiguredTool.objects.count() == 0


def test_fields_that_a_form_does_not_have_change_nothing(calls):
    root = superuser()
    other = get_user_model().objects.create_user("eve")
    browser(root).post(ADD, filled(created_by=other.pk, id="0" * 32, version=9, read_version=9))
    row = ConfiguredTool.objects.get()
    assert (row.created_by, row.version) == (root, 1)


def test_a_change_that_was_made_for_another_version_is_refused_and_told(calls):
    root = superuser()
    row = make(root, name="site.pay", kind="test.pay", configuration={})
    tool_services.change(Edit(row=row, user=root, version=None), {"description": "theirs"})
    client, page = browser(root), f"{LIST}{row.pk}/change/"
    stale = client.post(page, filled(read_version=1, input_schema=""))
    assert "its version is 2 now" in text_of(stale)
    saved = client.post(page, filled(read_version=2, input_schema=""), follow=True)
    assert "was changed successfully" in told(saved)[0]
    row.refresh_from_db()
    assert (row.version, row.description) == (3, "Pay\nada")


def test_a_tool_is_deleted_and_the_audit_knows(calls):
    root = superuser()
    row = make(root)
    client = browser(root)
    assert "site.set" in text_of(client.get(f"{LIST}{row.pk}/delete/"))
    response = client.post(f"{LIST}{row.pk}/delete/", {"post": "yes"}, follow=True)
    assert response.status_code == 200
    assert ConfiguredTool.objects.count() == 0
    last = AuditEntry.objects.latest("id")
    assert (last.verb, last.data, last.address) == ("tool.deleted", {"name": "site.set", "version": 1}, "127.0.0.1")


def test_a_kind_is_chosen_already_where_somebody_comes_from_it(calls):
    page = browser(superuser()).get(ADD, {"kind": "test.pay"})
    assert page.context["adminform"].form["kind"].value() == "test.pay"
