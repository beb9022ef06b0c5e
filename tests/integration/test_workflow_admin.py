"""The workflow pages of the admin: who sees what, what may be done with it, and that a page only shows."""

import io
import zipfile

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.integration.admin import EVERYDAY, WORKFLOWS, browser_of, member, page_of, text_of, told
from tests.integration.conftest import document, source_of
from workflows_app.dag import jsontext
from workflows_app.models import AuditEntry, Workflow, WorkflowShare
from workflows_app.services import editing
from workflows_app.services.documents import Format, export, save
from workflows_app.services.editing import Edit
from workflows_app.tools import tool

pytestmark = pytest.mark.django_db

READ_PAGES = ("change", "nodes", "document", "versions", "history", "settings", "document/download")
CROSS = "</script><img src=x onerror=alert(1)>"


@pytest.fixture
def workflow(import_document):
    return import_document(document("t>a", name="fee", description="Takes a fee", labels=["money"]))


@pytest.fixture
def browser(owner):
    return browser_of(owner)


def names_in(response):
    return [row.name for row in response.context["cl"].result_list]


def act(browser, action, *workflows, **options):
    data = {"action": action, "_selected_action": [str(workflow.pk) for workflow in workflows]}
    return browser.post(WORKFLOWS, data, follow=True, **options)


# --- who sees what


def test_the_list_has_what_a_user_may_see_and_no_more(browser, workflow, owner):
    stranger = get_user_model().objects.create_user("emmy")
    _ = save(source_of(document("t>a", name="theirs")), stranger)
    shared, _ = save(source_of(document("t>a", name="shared")), stranger)
    owner.groups.add(Group.objects.create(name="readers"))
    editing.share(Edit(workflow=shared, user=stranger, version=None), {"readers": "viewer"})
    assert names_in(browser.get(WORKFLOWS)) == ["fee", "shared"]
    root = get_user_model().objects.create_superuser("root")
    assert names_in(browser_of(root).get(WORKFLOWS)) == ["fee", "shared", "theirs"]


def test_the_list_shows_the_facts_of_each(browser, workflow):
    page = text_of(browser.get(WORKFLOWS))
    for fact in ("fee", "ada", "money", "version 1", "active", "not run yet"):
        assert fact in page


def test_an_empty_list_leads_on_to_the_import(owner):
    page = text_of(browser_of(owner).get(WORKFLOWS))
    assert "There is no workflow yet that you may see." in page
    assert f'href="{WORKFLOWS}import/"' in page
    assert f'href="{WORKFLOWS}import/"' not in text_of(browser_of(owner, ["view_workflow"]).get(WORKFLOWS))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["fee", "off", "wrong"]),
        ("?label=money", ["fee"]),
        ("?label=mon", []),
        ("?active=no", ["off"]),
        ("?active=yes", ["fee", "wrong"]),
        ("?problems=yes", ["wrong"]),
        ("?problems=no", ["fee", "off"]),
        ("?q=takes", ["fee"]),
        ("?q=off&active=no", ["off"]),
    ],
)
def test_filters_stand_in_the_url(browser, workflow, owner, import_document, query, found):
    off = import_document(document("t>a", name="off"))
    _ = editing.change(Edit(workflow=off, user=owner, version=None), {}, is_active=False)
    import_document(document("t>a", name="wrong"))
    Workflow.objects.filter(name="wrong").update(problems=[{"code": "NO_TRIGGER", "message": "None."}])
    assert names_in(browser.get(f"{WORKFLOWS}{query}")) == found


@pytest.mark.parametrize(
    "query", ["?owner__password__startswith=x", "?shares__group__name=readers", "?owner__email__startswith=a"]
)
def test_the_url_asks_nothing_about_other_tables(browser, workflow, query):
    assert browser.get(f"{WORKFLOWS}{query}").status_code in (302, 400)


def test_a_filter_finds_no_workflow_of_somebody_else(browser, workflow):
    stranger = get_user_model().objects.create_user("emmy")
    theirs, _ = save(source_of(document("t>a", name="theirs", labels=["secret"])), stranger)
    for query in (f"?id__in={theirs.pk}", f"?id={theirs.pk}", "?label=secret", "?q=theirs"):
        page = browser.get(f"{WORKFLOWS}{query}")
        assert page.status_code == 200
        assert "theirs</a>" not in text_of(page)
    assert "secret" not in text_of(browser.get(WORKFLOWS))


def test_the_list_takes_as_many_queries_for_many_workflows_as_for_one(
    browser, workflow, owner, django_assert_num_queries
):
    _ = browser.get(WORKFLOWS)
    with CaptureQueriesContext(connection) as one:
        _ = browser.get(WORKFLOWS)
    for number in range(30):
        _ = save(source_of(document("t>a", name=f"more-{number}", labels=["x"])), owner)
    with django_assert_num_queries(len(one)):
        assert len(names_in(browser.get(WORKFLOWS))) == 31


def test_staff_without_the_permission_of_the_model_get_403_everywhere(owner, workflow):
    browser = browser_of(owner, permissions=())
    for page in READ_PAGES:
        assert (page, browser.get(page_of(workflow, page)).status_code) == (page, 403)
    for page in ("document", "settings", "shares", "duplicate", "delete", "run"):
        assert (page, browser.post(page_of(workflow, page)).status_code) == (page, 403)
    assert browser.get(WORKFLOWS).status_code == 403
    assert browser.get(f"{WORKFLOWS}import/").status_code == 403
    assert Workflow.objects.count() == 1


def test_for_a_stranger_no_page_of_it_exists_and_the_audit_knows_that_somebody_asked(workflow):
    stranger = browser_of(get_user_model().objects.create_user("emmy"))
    for page in (*READ_PAGES, "run", "delete"):
        answer = stranger.get(page_of(workflow, page))
        assert (page, answer.status_code) == (page, 404)
        assert b"fee" not in answer.content
    for page in ("document", "settings", "shares", "duplicate", "delete", "run"):
        assert (page, stranger.post(page_of(workflow, page)).status_code) == (page, 404)
    refused = AuditEntry.objects.get(verb="refused")
    assert (refused.actor_name, refused.object_id, refused.address) == ("emmy", str(workflow.pk), "127.0.0.1")


def test_what_is_no_id_is_not_found(browser):
    for page in ("nothing/change/", "00000000-0000-0000-0000-000000000000/change/", "nothing/document/"):
        assert browser.get(f"{WORKFLOWS}{page}", follow=True).status_code == 404


def test_whoever_is_not_logged_in_is_sent_to_the_login(workflow):
    for page in READ_PAGES:
        answer = Client().get(page_of(workflow, page))
        assert (answer.status_code, answer["Location"].startswith("/admin/login/")) == (302, True)


# --- what a role allows


DEEDS = {
    "edit": ("settings", {"name": "fee", "description": "other", "is_active": "on", "version": "1"}),
    "document": ("document", {"version": "1"}),
    "share": ("shares", {"version": "1", "group": "viewers", "role": "editor"}),
    "delete": ("delete", {"version": "1"}),
    "run": ("run", {}),
    "duplicate": ("duplicate", {}),
}
MATRIX = {
    "viewer": {"duplicate"},
    "operator": {"duplicate", "run"},
    "editor": {"duplicate", "run", "edit", "document"},
    "owner": set(DEEDS),
    "superuser": set(DEEDS),
}


@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize("actor", MATRIX)
def test_each_may_do_what_the_role_says_and_is_refused_the_rest_with_a_sentence(workflow, owner, actor, deed):
    if actor == "owner":
        user = owner
    elif actor == "superuser":
        user = get_user_model().objects.create_superuser("root")
    else:
        user = member("emmy", workflow, actor)
    browser = browser_of(user)
    page, data = DEEDS[deed]
    if deed == "document":
        data = {**data, "text": export(workflow, Format.YAML).replace("Takes a fee", "Another")}
    before = export(workflow, Format.YAML)
    answer = browser.post(page_of(workflow, page), data)
    if deed in MATRIX[actor]:
        assert answer.status_code == 302, text_of(answer)
    else:
        assert answer.status_code == 403
        assert "Your role does not allow to" in text_of(answer)
        workflow.refresh_from_db()
        assert export(workflow, Format.YAML) == before
        assert AuditEntry.objects.filter(verb="refused", actor_name=user.username).count() == 1


@pytest.mark.parametrize(
    ("actor", "shown", "hidden"),
    [
        ("viewer", ["Export", "Duplicate"], ["Run…", 'name="overwrite"', ">Save<", "Delete…", "Save shares"]),
        ("operator", ["Export", "Run…"], [">Save<", "Delete…", "Save shares"]),
        ("editor", ["Run…", ">Save<"], ["Delete…", "Save shares"]),
    ],
)
def test_a_page_offers_only_what_the_role_allows(workflow, actor, shown, hidden):
    browser = browser_of(member("emmy", workflow, actor))
    page = text_of(browser.get(page_of(workflow, "settings"))) + text_of(browser.get(page_of(workflow, "document")))
    for words in shown:
        assert words in page
    for words in hidden:
        assert words not in page


def test_a_role_without_the_permission_of_the_model_is_not_enough(workflow, owner):
    browser = browser_of(owner, permissions=["view_workflow"])
    assert browser.get(page_of(workflow)).status_code == 200
    for page, data in DEEDS.values():
        assert (page, browser.post(page_of(workflow, page), {**data, "text": "x: 1"}).status_code) != (page, 302)
    assert Workflow.objects.get() == workflow
    offered = text_of(browser.get(page_of(workflow, "settings")))
    assert "Run…" not in offered
    assert "Duplicate" not in offered


def test_a_form_of_another_site_changes_nothing(workflow, owner):
    owner.is_staff = owner.is_superuser = True
    owner.save()
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(owner)
    for page, data in DEEDS.values():
        assert (page, browser.post(page_of(workflow, page), data).status_code) == (page, 403)
    assert browser.post(f"{WORKFLOWS}import/", {"text": export(workflow, Format.YAML)}).status_code == 403
    assert browser.post(WORKFLOWS, {"action": "run_selected", "_selected_action": [workflow.pk]}).status_code == 403
    for page in ("duplicate", "delete", "run", "settings", "shares"):
        _ = browser.get(page_of(workflow, page))
    workflow.refresh_from_db()
    assert (Workflow.objects.count(), workflow.version) == (1, 1)


# --- pages that show


def test_every_page_shows_and_runs_nothing_that_a_definition_says(browser, import_document, owner):
    evil = import_document(
        document(
            "t>a",
            name="evil",
            description=CROSS,
            labels=[CROSS],
            variables={CROSS: CROSS},
            input_schema={
                "type": "object",
                "properties": {CROSS: {"type": "string", "title": CROSS, "description": CROSS, "default": CROSS}},
            },
            a={"type": "adapter", "name": CROSS, "output": CROSS},
        )
    )
    _ = editing.change(Edit(workflow=evil, user=owner, version=1), {"description": CROSS * 2})
    addresses = [page_of(evil, page) for page in (*READ_PAGES[:6], "run", "delete")]
    lists = [WORKFLOWS, f"{WORKFLOWS}?label={CROSS}", f"{WORKFLOWS}?q={CROSS}"]
    for address in (*addresses, f"{page_of(evil, 'run')}?as=json", *lists):
        assert "<img src=x" not in browser.get(address).content.decode()
    assert "onerror" in text_of(browser.get(page_of(evil)))


def test_pages_have_no_script_or_style_of_their_own(browser, workflow):
    for page in (*READ_PAGES[:6], "run", "delete"):
        answer = browser.get(page_of(workflow, page))
        source = answer.content.decode()
        assert "default-src 'self'" in answer["Content-Security-Policy"]
        for forbidden in ("<style", " style=", " onclick=", "javascript:", "<script>"):
            assert forbidden not in source


def test_the_graph_is_drawn_without_a_script(browser, import_document):
    fields = {"b": {"type": "condition", "name": "Big?"}}
    drawn = import_document(document("t>b", "b>c", name="drawn", **fields))
    text = browser.get(page_of(drawn)).content.decode()
    assert text.count('<g class="pt-part ') == 3
    assert text.count('<g class="pt-line ') == 2
    assert "<title>Big?, condition</title>" in text
    assert "<title>t → b</title>" in text


def test_many_nodes_come_in_pages(browser, import_document):
    wide = import_document(document(*(f"t>n{number}" for number in range(150)), name="wide"))
    first = browser.get(page_of(wide, "nodes"))
    assert len(first.context["nodes"]) == len(first.context["edges"]) == 100
    second = browser.get(f"{page_of(wide, 'nodes')}?{first.context['next_nodes']}")
    assert [len(second.context["nodes"]), second.context["next_nodes"]] == [51, ""]
    assert browser.get(f"{page_of(wide, 'nodes')}?nodes=nonsense").status_code == 404


def test_the_overview_tells_settings_variables_and_input(browser, import_document):
    shown = import_document(
        document(
            "t>a",
            name="shown",
            variables={"rate": jsontext.loads("0.12345678901234567890")},
            settings={"timeout_seconds": None, "on_failure": "stop"},
            input_schema={
                "type": "object",
                "required": ["x"],
                "properties": {"x": {"enum": ["a", 1]}, "y": {"type": ["null", "string"], "default": "z"}},
            },
        )
    )
    page = text_of(browser.get(page_of(shown)))
    for words in ("0.12345678901234567890", "nothing new starts", 'one of "a",1', "null, string", "required", "none"):
        assert words in page


def test_the_history_tells_who_did_what(browser, workflow, owner):
    _ = editing.change(Edit(workflow=workflow, user=owner, version=1), {"description": "x"})
    page = text_of(browser.get(page_of(workflow, "history")))
    assert "changed it" in page
    assert "version: 2" in page
    assert "127.0.0.1" not in page


# --- what is done with one or several


def test_details_are_saved_as_a_new_version_with_the_address_in_the_audit(browser, workflow):
    data = {"name": "fees", "description": "New", "labels": "a, b , a", "version": "1"}
    page = browser.post(page_of(workflow, "settings"), data, follow=True)
    assert told(page) == ["The changes are saved as version 2."]
    workflow.refresh_from_db()
    assert (workflow.name, workflow.description, workflow.labels) == ("fees", "New", ["a", "b"])
    assert (workflow.is_active, workflow.version) == (False, 2)
    entry = AuditEntry.objects.get(verb="workflow.changed")
    assert (entry.actor_name, entry.address) == ("ada", "127.0.0.1")


def test_details_that_say_the_same_change_nothing(browser, import_document):
    plain = import_document(document("t>a", name="plain"))
    data = {"name": "plain", "description": "", "labels": "", "is_active": "on", "version": "1"}
    assert told(browser.post(page_of(plain, "settings"), data, follow=True)) == ["Nothing was changed."]
    plain.refresh_from_db()
    assert (plain.version, "description" in plain.head) == (1, False)


def test_a_change_of_a_stale_version_is_refused_and_what_was_typed_is_kept(browser, workflow, owner):
    _ = editing.change(Edit(workflow=workflow, user=owner, version=1), {"description": "Of another"})
    data = {"name": "fee", "description": "My own words", "is_active": "on", "labels": "", "version": "1"}
    page = text_of(browser.post(page_of(workflow, "settings"), data))
    for words in ("The workflow has changed since you read it", "My own words", "Of another", "Save over version 2"):
        assert words in page
    assert "The workflow has changed" in text_of(browser.post(page_of(workflow, "settings"), {**data, "version": "x"}))
    workflow.refresh_from_db()
    assert (workflow.description, workflow.version) == ("Of another", 2)
    _ = browser.post(page_of(workflow, "settings"), {**data, "overwrite": "2"})
    workflow.refresh_from_db()
    assert (workflow.description, workflow.version) == ("My own words", 3)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("Not A Name", "cannot be the name of a workflow"), ("taken", "There is a workflow 'taken'"), ("", "required")],
)
def test_a_name_that_cannot_be_is_refused_at_its_field(browser, workflow, import_document, name, sentence):
    import_document(document("t>a", name="taken"))
    page = browser.post(page_of(workflow, "settings"), {"name": name, "description": "kept", "version": "1"})
    assert page.status_code == 200
    assert sentence in " ".join(page.context["form"].errors["name"])
    assert "kept" in text_of(page)


def test_an_owner_shares_with_groups_and_takes_it_back(browser, workflow):
    _ = Group.objects.create(name="readers")
    _ = Group.objects.create(name="others")
    shares = page_of(workflow, "shares")
    page = browser.post(shares, {"version": "1", "group": "readers", "role": "editor"}, follow=True)
    assert told(page) == ["The shares are saved."]
    assert [(share.group.name, share.role) for share in WorkflowShare.objects.all()] == [("readers", "editor")]
    _ = browser.post(shares, {"version": "1", "role-0": "viewer", "group": ""}, follow=True)
    assert WorkflowShare.objects.get().role == "viewer"
    for wrong in ({"role-0": "owner"}, {"group": "nobody", "role-0": "viewer"}):
        assert "not among those to choose from" in told(browser.post(shares, wrong, follow=True))[0]
    assert WorkflowShare.objects.get().role == "viewer"
    _ = browser.post(shares, {"version": "1", "role-0": ""})
    assert not WorkflowShare.objects.exists()


def test_deletion_asks_first_and_leaves_the_workflow_where_it_has_changed(browser, workflow, owner):
    asked = text_of(browser.get(page_of(workflow, "delete")))
    assert "Delete fee, version 1?" in asked
    _ = editing.change(Edit(workflow=workflow, user=owner, version=1), {"description": "x"})
    assert "has changed since you read it" in text_of(browser.post(page_of(workflow, "delete"), {"version": "1"}))
    assert Workflow.objects.exists()
    page = browser.post(page_of(workflow, "delete"), {"version": "2"}, follow=True)
    assert told(page) == ["The workflow 'fee' is deleted. Its executions stay."]
    assert not Workflow.objects.exists()
    assert AuditEntry.objects.get(verb="workflow.deleted").address == "127.0.0.1"


def test_a_duplicate_belongs_to_whoever_made_it(workflow):
    viewer = member("emmy", workflow, "viewer")
    page = browser_of(viewer).post(page_of(workflow, "duplicate"), follow=True)
    assert told(page) == ["'fee-copy' is a copy of 'fee' that belongs to you."]
    assert Workflow.objects.get(name="fee-copy").owner == viewer


def test_selected_workflows_are_validated_with_a_count_and_the_first_problem_of_each(browser, workflow, owner, tools):
    with tools.scoped():

        @tool("demo.gone", effect="none")
        def gone() -> int:
            return 1

        bad, _ = save(source_of(document("t>a", name="bad", a={"tool": "demo.gone", "inputs": {}})), owner)
    page = act(browser, "validate_selected", workflow, bad)
    first, second = told(page)
    assert first == "1 of 2 workflows are in order."
    assert "demo.gone" in second
    assert page_of(bad, "document") in second


def test_selected_workflows_are_duplicated(browser, workflow):
    (sentence,) = told(act(browser, "duplicate_selected", workflow))
    assert sentence.startswith("1 workflow is duplicated, and the copy is yours")
    assert Workflow.objects.filter(name="fee-copy").count() == 1
    readers = browser_of(member("emmy", workflow, "viewer"), [p for p in EVERYDAY if p != "add_workflow"])
    _ = act(readers, "duplicate_selected", workflow)
    assert Workflow.objects.count() == 2


def test_one_selected_workflow_is_exported_as_its_document_and_several_as_an_archive(browser, workflow, owner):
    one = act(browser, "export_selected", workflow)
    assert one["Content-Disposition"] == 'attachment; filename="fee.yaml"'
    assert one.content.decode() == export(workflow, Format.YAML)
    stranger = get_user_model().objects.create_user("..")
    theirs, _ = save(source_of(document("t>b", name="fee")), stranger)
    root = browser_of(get_user_model().objects.create_superuser("root"))
    several = act(root, "export_selected", workflow, theirs)
    archive = zipfile.ZipFile(io.BytesIO(several.content))
    assert sorted(archive.namelist()) == ["fee-2.yaml", "fee.yaml"]
    assert {archive.read(name).decode() for name in archive.namelist()} == {
        export(workflow, Format.YAML), export(theirs, Format.YAML)
    }  # fmt: skip


def test_actions_reach_no_workflow_of_somebody_else(browser, workflow):
    stranger = get_user_model().objects.create_user("emmy")
    theirs, _ = save(source_of(document("t>a", name="theirs")), stranger)
    for action in ("validate_selected", "duplicate_selected", "export_selected", "run_selected"):
        assert b"theirs" not in act(browser, action, theirs).content
    assert Workflow.objects.count() == 2
    assert "delete_selected" not in text_of(browser.get(WORKFLOWS))
