"""The agents of the site in the admin: who sees what, what their pages say, and the forms that make and change them."""

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from tests.integration.conftest import document
from tests.integration.staff import browser, staff, superuser, text_of, told
from workflows_app.models import Agent, AuditEntry
from workflows_app.services import agents as agent_services
from workflows_app.services.agents import AgentRecipe
from workflows_app.services.site import Edit
from workflows_app.tools import tool

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/workflows_app/agent/"
ADD = f"{LIST}add/"
XSS = "<img src=x onerror=alert(1)>"


def entry(name: str) -> str:
    return f"{LIST}agent/{name}/"


def make(user: Any, **more: Any) -> Agent:
    fields: dict[str, Any] = {"name": "analyst", "provider": "scripted", "model": "default"}
    return agent_services.create(AgentRecipe(**{**fields, **more}), user)


@pytest.fixture
def pay(tools):
    @tool("test.pay", effect="at_most_once")
    def pay(amount: int) -> None:
        """Pays."""


# Who sees what.


def test_every_member_of_the_staff_sees_the_agents_and_nobody_else(client):
    row = make(superuser(), system="You judge.")
    assert client.get(LIST).status_code == 302
    assert client.get(entry("analyst")).status_code == 302
    eve = browser(staff("eve"))
    assert "analyst" in text_of(eve.get(LIST))
    assert "You judge." in text_of(eve.get(entry("analyst")))
    # The form is for those who may change it.
    shown = eve.get(f"{LIST}{row.pk}/change/", follow=True)
    assert shown.redirect_chain[-1][0] == entry("analyst")
    for name in ("no.such", "analyst%00", "Analyst"):
        assert eve.get(entry(name)).status_code == 404


def test_an_agent_that_is_switched_off_is_for_those_who_may_change_it():
    root = superuser()
    row = make(root)
    agent_services.change(Edit(row=row, user=root, version=None), {"is_active": False})
    eve = browser(staff("eve"))
    assert "analyst" not in text_of(eve.get(LIST))
    assert eve.get(entry("analyst")).status_code == 404
    assert "inactive" in text_of(browser(root).get(LIST))
    assert "inactive" in text_of(browser(root).get(entry("analyst")))


def test_forms_and_deletion_take_the_permission_of_the_model():
    row = make(superuser())
    eve = browser(staff("eve"))
    assert eve.post(ADD, filled(name="eves")).status_code == 403
    assert eve.post(f"{LIST}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    _ = eve.post(f"{LIST}{row.pk}/change/", {**filled(name="eves"), "read_version": 1})
    assert list(Agent.objects.values_list("name", "version")) == [("analyst", 1)]
    # The control.
    ada = browser(staff("ada", "add_agent"))
    assert ada.post(ADD, filled(name="adas")).status_code == 302
    assert Agent.objects.filter(name="adas").exists()


def test_a_form_from_another_site_is_refused():
    root = superuser()
    client = Client(enforce_csrf_checks=True)
    client.force_login(root)
    assert client.post(ADD, filled()).status_code == 403
    assert Agent.objects.count() == 0


# What the pages say.


def test_the_list_is_searched_in_names_models_and_descriptions():
    root = superuser()
    make(root, description="Judges what is wanted")
    make(root, name="writer", model="big")
    client = browser(root)
    for wanted, found in (("ANALY", "analyst"), ("big", "writer"), ("wanted", "analyst")):
        entries = client.get(LIST, {"q": wanted}).context["entries"]
        assert [agent.name for agent, _url in entries] == [found]
    assert "No agent has this" in text_of(client.get(LIST, {"q": "<svg onload=x>"}))
    assert b"<svg onload" not in client.get(LIST, {"q": "<svg onload=x>"}).content


def test_the_page_of_an_agent_says_what_it_is_told_may_do_and_gives(pay):
    root = superuser()
    schema = {"properties": {"mood": {"type": "string", "description": XSS}}}
    more = {"limits": {"max_cost": Decimal("0.10")}, "tools": ["core.set", "test.pay"], "allow_effects": True}
    make(root, system=f"You judge {XSS}", output_schema=schema, **more)
    response = browser(root).get(entry("analyst"))
    page = text_of(response)
    assert "test.pay must not be repeated" in page
    assert "It may call tools that must not be repeated." in page
    assert "agent: analyst" in page
    assert "max_cost: 0.10" in page
    assert [row.name for row in response.context["outputs"]] == ["mood"]
    assert XSS.encode() not in response.content


def test_the_page_of_an_agent_that_cannot_run_says_why(tools):
    root = superuser()
    make(root, tools=["core.set"])
    client = browser(root)
    assert "It cannot run" not in text_of(client.get(entry("analyst")))
    with tools.scoped():
        tools._tools.pop("core.set")
        page = text_of(client.get(entry("analyst")))
        form = client.get(f"{LIST}{Agent.objects.get().pk}/change/")
    assert "There is no tool with the name 'core.set'" in page
    assert "is not there any more" in page
    # It stays chosen until somebody takes it away.
    assert ("core.set", "core.set") in form.context["adminform"].form.fields["tools"].choices


def test_the_page_of_an_agent_lists_the_workflows_that_name_it_as_far_as_one_may_see_them(import_document):
    root = superuser()
    make(root)
    assert "None." in text_of(browser(root).get(entry("analyst")))
    workflow = import_document(document("t>n", n={"type": "agent", "agent": "analyst"}, name="moods"))
    shown = browser(root).get(entry("analyst"))
    assert f"/admin/workflows_app/workflow/{workflow.pk}/change/" in shown.content.decode()
    page = text_of(browser(staff("eve")).get(entry("analyst")))
    assert "moods" not in page
    assert "1 that you may not see" in page


# Making, changing, deleting.


def filled(**more: Any) -> dict[str, Any]:
    return {
        "name": "analyst",
        "description": "Judges\r\nshares",
        "provider": "scripted",
        "model": "default",
        "system": "You judge.\r\nShortly.",
        "tools": ["core.set"],
        "output_schema": '{"properties": {"sure": {"maximum": 1.00}}}',
        "limits": "max_cost: 0.10\nmax_requests: 3\n",
        "is_active": "on",
        **more,
    }


def test_an_agent_is_made_with_yaml_and_json_and_keeps_its_digits():
    root = superuser()
    client = browser(root)
    made = client.post(ADD, filled(), follow=True)
    row = Agent.objects.get()
    assert made.redirect_chain[-1][0] == entry("analyst")
    assert "was added successfully" in told(made)[0]
    assert (row.description, row.system, row.created_by) == ("Judges\nshares", "You judge.\nShortly.", root)
    assert (row.tools, row.allow_effects, str(row.limits["max_cost"])) == (["core.set"], False, "0.10")
    # What the form shows is what it saves: nothing has changed.
    form = client.get(f"{LIST}{row.pk}/change/").context["adminform"].form
    data = {name: form[name].value() for name in form.fields}
    sent = {name: value for name, value in data.items() if value not in (None, False)}
    assert client.post(f"{LIST}{row.pk}/change/", sent).status_code == 302
    row.refresh_from_db()
    assert (row.version, str(row.output_schema["properties"]["sure"]["maximum"])) == (1, "1.00")
    verbs = AuditEntry.objects.filter(object_type="agent").values_list("verb", flat=True)
    assert list(verbs) == ["agent.created"]


def test_a_new_agent_asks_what_the_site_asks_unless_somebody_says_more():
    form = browser(superuser()).get(ADD).context["adminform"].form
    assert (form["provider"].value(), form["model"].value()) == ("default", "default")


def test_tools_keep_the_order_that_they_have():
    root = superuser()
    row = make(root, tools=["core.set", "core.log"])
    changed = filled(tools=["core.fail", "core.log", "core.set"], read_version=1)
    assert browser(root).post(f"{LIST}{row.pk}/change/", changed).status_code == 302
    row.refresh_from_db()
    assert row.tools == ["core.set", "core.log", "core.fail"]


@pytest.mark.parametrize(
    ("more", "field", "said"),
    [
        ({"name": "An analyst"}, "name", "is no name for an agent"),
        ({"provider": "nobody"}, "provider", "Select a valid choice"),
        ({"model": ""}, "model", "This field is required"),
        ({"system": "${{ vars.x }}"}, "system", "There is no 'vars' here"),
        ({"system": "${{ input.x"}, "system", "is not valid"),
        ({"tools": ["os.system"]}, "tools", "Select a valid choice"),
        ({"output_schema": "{"}, "output_schema", "This is not JSON"),
        ({"output_schema": '{"type": 1}'}, "output_schema", "no valid JSON Schema"),
        ({"limits": "max_tokens: 0"}, "limits", "max_tokens: "),
        ({"limits": "- 1"}, "limits", "must be a mapping"),
        ({"limits": "tokens: 1"}, "limits", "has no key 'tokens'"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_what_was_typed_is_kept(more, field, said):
    form = browser(superuser()).post(ADD, filled(**more)).context["adminform"].form
    assert list(form.errors) == [field]
    assert said in str(form.errors[field][0])
    assert form[field].value() == more[field]
    assert Agent.objects.count() == 0


def test_a_change_that_was_made_for_another_version_is_refused_and_told():
    root = superuser()
    row = make(root)
    agent_services.change(Edit(row=row, user=root, version=None), {"description": "theirs"})
    client, page = browser(root), f"{LIST}{row.pk}/change/"
    assert "its version is 2 now" in text_of(client.post(page, filled(read_version=1)))
    saved = client.post(page, filled(read_version=2), follow=True)
    assert "was changed successfully" in told(saved)[0]
    row.refresh_from_db()
    assert (row.version, row.description) == (3, "Judges\nshares")


def test_an_agent_is_deleted_and_the_audit_knows():
    root = superuser()
    row = make(root)
    response = browser(root).post(f"{LIST}{row.pk}/delete/", {"post": "yes"}, follow=True)
    assert response.status_code == 200
    assert Agent.objects.count() == 0
    last = AuditEntry.objects.latest("id")
    assert (last.verb, last.data, last.address) == ("agent.deleted", {"name": "analyst", "version": 1}, "127.0.0.1")
