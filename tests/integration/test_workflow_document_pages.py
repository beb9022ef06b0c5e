"""A document in the admin: shown, checked, saved, compared, downloaded, imported; with its problems and their lines."""

import asyncio

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from executions_app.executor import WorkflowExecutor
from tests.integration.admin import EVERYDAY, WORKFLOWS, browser_of, page_of, text_of, told
from tests.integration.conftest import document, source_of
from workflows_app.dag import jsontext
from workflows_app.history import versions_of
from workflows_app.models import AuditEntry, Workflow
from workflows_app.services import editing
from workflows_app.services.documents import Format, export, read
from workflows_app.services.editing import Edit

pytestmark = pytest.mark.django_db(transaction=True)

AMOUNT = "1234567890123456789.012345678"
GOOD = f"""name: fee
variables: {{amount: {AMOUNT}}}
nodes:
  - {{key: start, type: trigger}}
  - {{key: fee, type: adapter, output: "${{{{ vars.amount }}}}"}}
edges:
  - {{from: start, to: fee}}
"""
BAD = GOOD.replace("vars.amount", "vars.amuont").replace("to: fee", "to: fees")


@pytest.fixture
def workflow(owner):
    return editing.put(read(GOOD), owner)[0]


@pytest.fixture
def browser(owner):
    return browser_of(owner)


def send(browser, workflow, text, **more):
    return browser.post(page_of(workflow, "document"), {"text": text, "version": "1", **more})


def places(response):
    return [(finding.problem.code, finding.problem.line, finding.excerpt) for finding in response.context["findings"]]


def test_the_text_is_the_document_with_all_its_digits(browser, workflow):
    page = browser.get(page_of(workflow, "document"))
    assert page.context["text"] == export(workflow, Format.YAML)
    assert AMOUNT in text_of(page)


def test_a_text_is_saved_as_the_next_version_whatever_ends_its_lines(browser, workflow):
    changed = GOOD.replace("start", "begin").replace("\n", "\r\n")
    page = browser.post(page_of(workflow, "document"), {"text": changed, "version": "1"}, follow=True)
    assert told(page) == ["The document is saved as version 2."]
    workflow.refresh_from_db()
    assert "begin" in export(workflow, Format.YAML)
    entry = AuditEntry.objects.get(verb="workflow.replaced")
    assert (entry.actor_name, entry.address, entry.data) == ("ada", "127.0.0.1", {"version": 2})


def test_a_text_that_says_the_same_changes_nothing(browser, workflow):
    page = browser.post(page_of(workflow, "document"), {"text": f"# A remark\n{GOOD}", "version": "1"}, follow=True)
    assert told(page) == ["The document says the same as before: nothing was changed."]
    workflow.refresh_from_db()
    assert workflow.version == 1


def test_all_problems_are_shown_with_their_lines_and_the_text_is_kept(browser, workflow):
    page = send(browser, workflow, BAD)
    assert places(page) == [
        ("ISOLATED_NODE", 5, '- {key: fee, type: adapter, output: "${{ vars.amuont }}"}'),
        ("UNKNOWN_VARIABLE", 5, '- {key: fee, type: adapter, output: "${{ vars.amuont }}"}'),
        ("NODE_NOT_FOUND", 7, "- {from: start, to: fees}"),
    ]
    assert page.context["text"] == BAD
    assert 'data-line="7"' in text_of(page)
    workflow.refresh_from_db()
    assert workflow.version == 1


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("name: [", 2, "This is not the YAML of a document"),
        ("name: a\nname: b\n", 2, "stands twice"),
        ("{", None, "This is not JSON"),
        ("", None, "The document is empty"),
        ("just text", None, "must be a mapping"),
        ("a: &x 1\nb: *x\n", 1, ""),
    ],
)
def test_text_that_is_no_document_says_where_it_breaks_off(browser, workflow, text, line, sentence):
    page = send(browser, workflow, text)
    (problem,) = [finding.problem for finding in page.context["findings"][:1]]
    assert sentence in problem.message
    assert line is None or problem.line == line
    assert page.context["text"] == text


def test_a_check_shows_problems_warnings_and_changes_and_saves_nothing(browser, workflow):
    assert places(send(browser, workflow, BAD, check="1"))[0][0] == "ISOLATED_NODE"
    changed = GOOD.replace("}\nedges", "}\n  - {key: more, type: adapter, output: 1}\nedges").replace(
        "to: fee}", "to: fee}\n  - {from: fee, to: more}"
    )
    page = send(browser, workflow, changed, check="1")
    assert "The document is in order." in text_of(page)
    assert [(one["change"], one["name"]) for one in page.context["differences"]] == [
        ("added", "more"),
        ("added", "fee -> more"),
    ]
    workflow.refresh_from_db()
    assert workflow.version == 1


def test_whoever_may_only_look_may_check(workflow, owner):
    browser = browser_of(owner, ["view_workflow"])
    assert send(browser, workflow, GOOD, check="1").status_code == 200
    assert send(browser, workflow, GOOD).status_code == 403


def test_a_text_for_a_stale_version_is_refused_kept_and_compared_with_what_is_there(browser, workflow, owner):
    _ = editing.change(Edit(workflow=workflow, user=owner, version=1), {"description": "Of another"})
    mine = GOOD.replace("start", "begin")
    page = send(browser, workflow, mine)
    assert "The workflow has changed since you read it" in text_of(page)
    assert page.context["text"] == mine
    changes = {(one["change"], one["name"]) for one in page.context["differences"]}
    assert {("removed", "description"), ("added", "begin"), ("removed", "start")} <= changes
    workflow.refresh_from_db()
    assert workflow.description == "Of another"
    assert send(browser, workflow, mine, overwrite="2").status_code == 302
    workflow.refresh_from_db()
    assert (workflow.description, workflow.version) == ("", 3)


def test_a_name_that_is_taken_is_refused_with_the_text_kept(browser, workflow, owner):
    _ = editing.put(read(GOOD.replace("name: fee", "name: other")), owner)
    page = send(browser, workflow, GOOD.replace("name: fee", "name: other"))
    assert "There is a workflow 'other' of this owner already" in text_of(page)
    assert "name: other" in page.context["text"]


def test_warnings_are_told_when_it_is_saved(browser, workflow):
    text = jsontext.dumps(document("t>c", name="fee", c={"type": "condition"}))
    page = browser.post(page_of(workflow, "document"), {"text": text, "version": "1"}, follow=True)
    saved, warning = told(page)
    assert saved == "The document is saved as version 2."
    assert warning.startswith("The validator has 1 warning: line 1, node c: ")


def test_a_document_is_downloaded_as_yaml_or_json(browser, workflow):
    address = page_of(workflow, "document/download")
    yaml, json = browser.get(address), browser.get(f"{address}?format=json")
    assert yaml["Content-Disposition"] == 'attachment; filename="fee.yaml"'
    assert yaml.content.decode() == export(workflow, Format.YAML)
    assert json["Content-Disposition"] == 'attachment; filename="fee.json"'
    assert jsontext.loads(json.content) == read(GOOD).document
    assert browser.get(f"{address}?format=exe").status_code == 404


# --- versions


def test_versions_that_were_run_are_compared_field_by_field(browser, workflow, owner):
    _ = asyncio.run(WorkflowExecutor().execute(workflow.id, {}))
    changed = read(GOOD.replace(AMOUNT, "1.50").replace("fee, type", "fee, name: Fee, type"))
    workflow = editing.replace(Edit(workflow=workflow, user=owner, version=1), changed)
    page = browser.get(page_of(workflow, "versions"))
    assert [(one.number, one.created_at is None) for one in page.context["versions"]] == [(2, True), (1, False)]
    found = [
        (one["change"], one["name"], [(field.path, field.before, field.after) for field in one["fields"]])
        for one in page.context["differences"]
    ]
    assert found == [
        ("changed", "variables", [("amount", AMOUNT, "1.50")]),
        ("changed", "fee", [("name", None, '"Fee"')]),
    ]
    assert AMOUNT in text_of(page)
    present, first = page.context["versions"]
    turned = browser.get(f"{page_of(workflow, 'versions')}?from={present.key}&to={first.key}")
    assert turned.context["differences"][0]["fields"][0].after == AMOUNT
    assert browser.get(f"{page_of(workflow, 'versions')}?from=nothing").status_code == 404


def test_an_earlier_version_is_taken_into_the_editor_and_saved_as_a_new_one(browser, owner):
    text = GOOD.replace("type: adapter, output", "type: tool, tool: core.set, inputs: {n: 1}, name").replace(
        "vars.", ""
    )
    workflow, _ = editing.put(read(text), owner)
    _ = asyncio.run(WorkflowExecutor().execute(workflow.id, {}))
    workflow = editing.replace(Edit(workflow=workflow, user=owner, version=1), read(GOOD))
    first = next(one for one in versions_of(workflow) if one.number == 1)
    assert f"?of={first.key}" in text_of(browser.get(page_of(workflow, "versions")))
    page = browser.get(f"{page_of(workflow, 'document')}?of={first.key}")
    assert "This is what version 1 says" in text_of(page)
    assert page.context["findings"] == []
    assert {one["name"] for one in page.context["differences"]} == {"fee"}
    workflow.refresh_from_db()
    assert workflow.version == 2
    assert send(browser, workflow, page.context["text"], version=page.context["version"]).status_code == 302
    workflow.refresh_from_db()
    assert workflow.version == 3
    assert read(export(workflow, Format.YAML)).document == read(text).document
    assert browser.get(f"{page_of(workflow, 'document')}?of=nothing").status_code == 404


def test_a_workflow_that_was_never_run_has_one_version(browser, workflow):
    page = browser.get(page_of(workflow, "versions"))
    assert [one.number for one in page.context["versions"]] == [1]
    assert "There is one version only" in text_of(page)


def test_a_version_of_another_workflow_is_not_among_them(browser, workflow, owner):
    other, _ = editing.put(read(GOOD.replace("name: fee", "name: other")), owner)
    _ = asyncio.run(WorkflowExecutor().execute(other.id, {}))
    key = other.versions.get().pk
    assert browser.get(f"{page_of(workflow, 'versions')}?to={key}").status_code == 404


# --- import


def upload(browser, content, name="fee.yaml", **more):
    data = {"file": SimpleUploadedFile(name, content if isinstance(content, bytes) else content.encode()), **more}
    return browser.post(f"{WORKFLOWS}import/", data, follow=True)


@pytest.mark.parametrize("form", Format)
def test_a_file_is_imported_with_all_its_digits(browser, owner, form):
    text = GOOD if form is Format.YAML else jsontext.dumps(read(GOOD).document)
    page = upload(browser, text, f"fee.{form}")
    assert told(page) == ["The workflow 'fee' is imported."]
    workflow = Workflow.objects.get()
    assert page.redirect_chain[-1][0] == page_of(workflow)
    assert workflow.owner == owner
    assert AMOUNT in export(workflow, Format.YAML)
    assert AuditEntry.objects.get(verb="workflow.created").address == "127.0.0.1"


def test_pasted_text_is_imported(browser):
    page = browser.post(f"{WORKFLOWS}import/", {"text": GOOD.replace("\n", "\r\n")}, follow=True)
    assert told(page) == ["The workflow 'fee' is imported."]


def test_the_same_name_is_replaced_and_that_is_said(browser, workflow):
    assert told(upload(browser, GOOD)) == [
        "You have the workflow 'fee' already, with the same content: nothing was changed."
    ]
    assert told(upload(browser, GOOD.replace("start", "begin"))) == [
        "You had a workflow 'fee': its document was replaced, and it is version 2 now."
    ]
    assert Workflow.objects.count() == 1
    assert [entry.verb for entry in AuditEntry.objects.filter(object_type="workflow").order_by("id")] == [
        "workflow.created",
        "workflow.replaced",
    ]


def test_a_workflow_of_the_same_name_of_somebody_else_is_left_alone(workflow, django_user_model):
    other = browser_of(django_user_model.objects.create_user("emmy"))
    assert told(upload(other, GOOD.replace("start", "begin"))) == ["The workflow 'fee' is imported."]
    assert "start" in export(workflow, Format.YAML)
    assert Workflow.objects.count() == 2


def test_a_bad_file_shows_all_problems_with_lines_and_its_text_to_be_mended(browser):
    page = upload(browser, BAD)
    assert [(code, line) for code, line, _ in places(page)] == [
        ("ISOLATED_NODE", 5), ("UNKNOWN_VARIABLE", 5), ("NODE_NOT_FOUND", 7)
    ]  # fmt: skip
    assert "3 problems, nothing was saved" in text_of(page)
    assert page.context["form"]["text"].value() == BAD
    assert not Workflow.objects.exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\xff\xfe\x00", "This is no UTF-8 text"),
        (b"name: \x00", "U+0000"),
        (b"[" * 5000, ""),
        (b"\x89PNG\r\n\x1a\n", "This is no UTF-8 text"),
    ],
)
def test_a_file_that_is_no_text_is_refused_with_a_sentence(browser, content, sentence):
    page = upload(browser, content)
    assert page.status_code == 200
    assert sentence in text_of(page)
    assert "nothing was saved" in text_of(page)


def test_nothing_at_all_is_asked_for_again(browser):
    page = browser.post(f"{WORKFLOWS}import/", {"text": "  "})
    assert "Choose a file, or paste the text of a document." in text_of(page)


def test_a_document_above_the_limits_of_the_site_is_refused(browser, workflow, settings):
    settings.PASTETRADER = {"MAX_DOCUMENT_BYTES": 100, "MAX_JSON_DEPTH": 8}
    assert "no more than 100 are taken" in text_of(upload(browser, GOOD))
    assert "no more than 100 are taken" in text_of(send(browser, workflow, GOOD))
    deep = "name: x\nnodes: []\nedges: []\nvariables: {a: " + "[" * 9 + "]" * 9 + "}"
    assert "nested deeper than 8 levels" in text_of(upload(browser, deep))


def test_to_import_takes_the_permission_to_add_and_a_workflow_of_that_name_the_one_to_change(owner, workflow):
    assert browser_of(owner, ["view_workflow", "change_workflow"]).get(f"{WORKFLOWS}import/").status_code == 403
    adder = browser_of(owner, [name for name in EVERYDAY if name != "change_workflow"])
    changed = GOOD.replace("start", "begin")
    assert "There is a workflow 'fee' of this owner already" in text_of(upload(adder, changed))
    assert told(upload(adder, changed.replace("name: fee", "name: new"))) == ["The workflow 'new' is imported."]
    workflow.refresh_from_db()
    assert workflow.version == 1


def test_the_address_to_add_one_leads_to_the_import(browser):
    answer = browser.get(f"{WORKFLOWS}add/")
    assert (answer.status_code, answer["Location"]) == (302, f"{WORKFLOWS}import/")


def test_problems_that_a_single_change_left_are_shown_and_block_a_run(browser, workflow, owner):
    workflow = editing.replace(
        Edit(workflow=workflow, user=owner, version=1), source_of(document("t>a", "a>b", name="fee"))
    )
    Workflow.objects.update(problems=[{"code": "UNREACHABLE_NODE", "message": "Nobody gets there.", "node": "b",
                                       "edge": None, "field": None, "line": None}])  # fmt: skip
    for page in ("change", "document", "nodes"):
        assert "Nobody gets there." in text_of(browser.get(page_of(workflow, page)))
