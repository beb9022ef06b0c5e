"""Workflows over the API: documents in and out, versions, parts, shares."""

import threading
from decimal import Decimal

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import connections

from executions_app.services.start import StartRequest, start
from tests.integration.api import Program, program_of
from tests.integration.conftest import document
from workflows_app.models import AuditEntry, Workflow, WorkflowShare
from workflows_app.services.documents import document_of
from workflows_app.services.editing import Edit, delete
from workflows_app.services.errors import InvalidDefinition, WorkflowNotFoundError
from workflows_app.services.tokens import create_token
from workflows_app.tools import tool

pytestmark = pytest.mark.django_db(transaction=True)

SHAPE = {
    "id", "name", "owner", "version", "is_active", "description", "labels", "document", "problems", "created_at",
    "updated_at",
}  # fmt: skip
AMOUNT = Decimal("1234567890123456789012345.678")

YAML = """\
name: from-yaml
description: Text that is no number
variables: {code: 000660, amount: 1234567890123456789012345.678}
nodes:
  - {key: t, type: trigger}
  - {key: a, type: adapter, output: "${{ vars.code }}"}
edges:
  - {from: t, to: a}
"""


@pytest.fixture
def ada(owner):
    return program_of(owner)


@pytest.fixture
def made(ada):
    """The address of a workflow of version 1."""
    return f"/workflows/{ada.post('/workflows', document('t>a', 'a>b')).data['id']}"


def test_a_document_becomes_a_workflow_with_a_place_and_an_etag(ada):
    sent = document("t>a", name="first", description="One", labels=["demo", "x"])
    response = ada.post("/workflows", sent)
    assert response.status_code == 201
    assert response.data.keys() == SHAPE
    assert response.data["document"] == sent
    assert (response.data["owner"], response.data["version"], response.data["problems"]) == ("ada", 1, [])
    assert (response.data["labels"], response.data["description"]) == (["demo", "x"], "One")
    assert response["ETag"] == '"1"'
    again = ada.get(response["Location"])
    assert again.data == response.data
    assert again["ETag"] == '"1"'
    assert again.data["created_at"].endswith("Z")
    assert len(again.data["created_at"]) == len("2026-01-02T03:04:05.000006Z")


def test_a_yaml_document_keeps_every_digit_and_leading_zero(ada):
    response = ada.post("/workflows", text=YAML, kind="application/yaml; charset=utf-8")
    assert response.status_code == 201
    assert response.data["document"]["variables"] == {"code": "000660", "amount": AMOUNT}
    address = response["Location"]
    exported = ada.get(f"{address}/document?format=yaml")
    assert exported["Content-Type"] == "application/yaml; charset=utf-8"
    text = exported.content.decode()
    assert "1234567890123456789012345.678" in text
    assert ada.put(address, text=text, kind="application/yaml", If_Match=1).data["version"] == 1
    as_json = ada.get(f"{address}/document")
    assert b"1234567890123456789012345.678" in as_json.content
    assert as_json.data == response.data["document"]
    assert ada.get(f"{address}/document?format=xml").status_code == 422


def test_a_document_with_errors_saves_nothing_and_tells_them_all_with_their_lines(ada):
    text = YAML.replace("type: adapter", "type: adaptor").replace("to: a", "to: z")
    response = ada.post("/workflows", text=text, kind="application/yaml")
    assert (response.status_code, response.data["code"]) == (422, "invalid_definition")
    found = {(error["code"], error["line"]) for error in response.data["errors"]}
    assert {("INVALID_DOCUMENT", 6), ("NODE_NOT_FOUND", 8)} <= found
    assert not Workflow.objects.exists()


def test_a_second_workflow_of_a_name_is_a_conflict_but_not_for_another_owner(ada):
    assert ada.post("/workflows", document("t>a")).status_code == 201
    response = ada.post("/workflows", document("t>b"))
    assert (response.status_code, response.data["code"]) == (409, "name_taken")
    bob = program_of(get_user_model().objects.create_user("bob"))
    assert bob.post("/workflows", document("t>a")).status_code == 201


def test_lists_are_filtered_searched_and_paged(ada, owner):
    for number in range(7):
        labels = ["odd", 'a"b'] if number % 2 else ["even", "odder"]
        ada.post("/workflows", document("t>a", name=f"w{number}", labels=labels, description=f"Number {number}"))
    Workflow.objects.filter(name="w3").update(is_active=False)

    def names(query):
        return [item["name"] for item in ada.get(f"/workflows?{query}").data["items"]]

    assert names("") == [f"w{number}" for number in range(7)]
    assert names("label=odd") == ["w1", "w3", "w5"]
    assert names("label=a%22b") == ["w1", "w3", "w5"]
    assert names("label=od") == []
    assert names("search=NUMBER%204") == ["w4"]
    assert names("search=w5&label=odd") == ["w5"]
    assert names("is_active=false") == ["w3"]
    assert "document" not in ada.get("/workflows").data["items"][0]

    seen, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        page = ada.get(f"/workflows?limit=3{f'&cursor={cursor}' if cursor else ''}").data
        if pages == 0:
            # What comes and goes before the cursor moves nothing.
            Workflow.objects.get(name="w1").delete()
            ada.post("/workflows", document("t>a", name="w00"))
        seen += [item["name"] for item in page["items"]]
        cursor, pages = page["next"], pages + 1
    assert (seen, pages) == ([f"w{number}" for number in range(7)], 3)


def test_a_change_needs_the_version_that_it_was_made_for(ada, made):
    for method, path, body in [
        ("PUT", made, document("t>a")),
        ("PATCH", made, {"description": "x"}),
        ("DELETE", made, None),
        ("PATCH", f"{made}/nodes/a", {"name": "x"}),
        ("DELETE", f"{made}/nodes/a", None),
        ("PATCH", f"{made}/edges/{ada.get(f'{made}/edges').data['items'][0]['id']}", {"label": "x"}),
        ("DELETE", f"{made}/edges/{ada.get(f'{made}/edges').data['items'][0]['id']}", None),
    ]:
        response = ada.send(method, path, body)
        assert (response.status_code, response.data["code"]) == (428, "version_required")
        for stale in ("2", '"0"', "*", "", "x", '"1", "2"', "9" * 50):
            response = ada.send(method, path, body, If_Match=stale)
            assert (response.status_code, response.data["code"]) == (409, "version_conflict")
    assert ada.get(made).data["version"] == 1


@pytest.mark.parametrize("if_match", ["1", '"1"', 'W/"1"'])
def test_metadata_changes_with_the_version_and_stand_in_the_document(ada, made, if_match):
    response = ada.patch(
        made, {"name": "renamed", "description": "New", "labels": ["x"], "is_active": False}, If_Match=if_match
    )
    assert response.status_code == 200
    assert response["ETag"] == '"2"'
    assert response.data["version"] == 2
    assert response.data["is_active"] is False
    expected = document("t>a", "a>b", name="renamed", description="New", labels=["x"])
    assert response.data["document"] == expected
    assert ada.get("/workflows?label=x").data["items"][0]["name"] == "renamed"
    assert ada.patch(made, {"name": "renamed"}, If_Match=2).data["version"] == 2


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "No Slug"}, 422),
        ({"labels": ["a", 1]}, 422),
        ({"description": None}, 422),
        ({"is_active": "maybe"}, 422),
        ({"name": "taken"}, 409),
    ],
)
def test_metadata_that_cannot_be_are_refused(ada, made, body, status):
    ada.post("/workflows", document("t>a", name="taken"))
    assert ada.patch(made, body, If_Match=1).status_code == status
    assert ada.get(made).data["version"] == 1


@pytest.mark.parametrize(
    "field", ["owner", "id", "version", "problems", "document", "head", "created_at", "is_staff", "status", "fence"]
)
def test_what_is_not_to_be_changed_is_an_unknown_field(ada, made, field):
    before = ada.get(made).data
    response = ada.patch(made, {"description": "x", field: "eve"}, If_Match=1)
    assert response.status_code == 422
    assert response.data["errors"] == [
        {"code": "extra_forbidden", "message": "There is no such field: remove it.", "field": field, "in": "body"}
    ]
    assert ada.get(made).data == before
    for path, body in [("/workflows", document("t>a", **{field: 1})), (f"{made}/duplicate", {field: 1})]:
        if field != "head":
            assert ada.post(path, body).status_code == 422
    assert ada.put(f"{made}/shares", [{"group": "x", "role": "viewer", field: 1}]).status_code == 422


def test_a_replaced_document_is_a_new_version_and_an_identical_one_is_not(ada, made):
    new = document("t>c", name="other", labels=["l"])
    response = ada.put(made, new, If_Match=1)
    assert (response.status_code, response.data["version"], response.data["document"]) == (200, 2, new)
    assert ada.put(made, new, If_Match=2).data["version"] == 2
    assert ada.put(made, {**new, "nodes": []}, If_Match=2).status_code == 422
    assert ada.get(made).data["document"] == new
    ada.post("/workflows", document("t>a", name="taken"))
    assert ada.put(made, {**new, "name": "taken"}, If_Match=2).data["code"] == "name_taken"


def test_a_deleted_workflow_is_gone_and_its_executions_stay(ada, made, owner):
    execution = start(StartRequest(target=Workflow.objects.get(), input={}, user=owner)).execution
    response = ada.delete(made, If_Match=1)
    assert (response.status_code, response.content) == (204, b"")
    assert ada.get(made).status_code == 404
    execution.refresh_from_db()
    assert str(execution.workflow_id) in made


def test_what_was_deleted_in_the_same_moment_is_not_found(owner, ada, made):
    workflow = Workflow.objects.get()
    ada.delete(made, If_Match=1)
    for version in (1, None):
        with pytest.raises(WorkflowNotFoundError):
            delete(Edit(workflow=workflow, user=owner, version=version))


def test_twenty_writers_of_one_version_make_one_new_version(owner, ada, made):
    token = create_token("ada")
    ready, statuses = threading.Barrier(20), []
    nodes = [{"key": f"n{number}", "type": "adapter", "output": number} for number in range(20)]

    def write(number):
        program = Program(token)
        ready.wait()
        try:
            if number % 2:
                response = program.patch(made, {"description": f"by {number}"}, If_Match=1)
            elif number % 4:
                response = program.put(made, document("t>a", description=f"by {number}"), If_Match=1)
            else:
                response = program.post(f"{made}/nodes", nodes[number], If_Match=1)
            statuses.append(response.status_code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(statuses) == 20
    assert len([status for status in statuses if status in (200, 201)]) == 1
    assert statuses.count(409) == 19
    assert ada.get(made).data["version"] == 2
    workflow = Workflow.objects.get()
    assert document_of(workflow) == ada.get(f"{made}/document").data


def test_ten_additions_without_a_version_all_happen(owner, ada, made):
    token = create_token("ada")
    ready, versions = threading.Barrier(10), []

    def write(number):
        ready.wait()
        try:
            node = {"key": f"n{number}", "type": "adapter", "output": number}
            versions.append(Program(token).post(f"{made}/nodes", node).data["version"])
        finally:
            connections.close_all()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(versions) == list(range(2, 12))
    assert len(ada.get(f"{made}/nodes").data["items"]) == 13


def test_a_copy_belongs_to_who_asked_for_it(ada, made):
    names = [ada.post(f"{made}/duplicate").data["name"] for _ in range(3)]
    assert names == ["test-copy", "test-copy-2", "test-copy-3"]
    response = ada.post(f"{made}/duplicate", {"name": "mine"})
    assert (response.status_code, response.data["name"], response.data["version"]) == (201, "mine", 1)
    assert ada.get(response["Location"]).data["document"]["nodes"] == ada.get(made).data["document"]["nodes"]
    assert ada.post(f"{made}/duplicate", {"name": "mine"}).status_code == 409
    assert ada.post(f"{made}/duplicate", {"name": "Not A Slug"}).status_code == 422


def test_shares_say_which_groups_may_do_what(ada, made):
    for name in ("traders", "quants"):
        Group.objects.create(name=name)
    bob = get_user_model().objects.create_user("bob")
    bob.groups.add(Group.objects.get(name="traders"))
    program = program_of(bob)
    assert program.get(made).status_code == 404
    shares = [{"group": "quants", "role": "editor"}, {"group": "traders", "role": "viewer"}]
    assert ada.put(f"{made}/shares", shares).data == shares
    assert ada.get(f"{made}/shares").data == shares
    assert program.get(made).status_code == 200
    for response in (
        program.patch(made, {"description": "x"}, If_Match=1),
        program.put(f"{made}/shares", []),
        program.delete(made, If_Match=1),
    ):
        assert (response.status_code, response.data["code"]) == (403, "forbidden")
    for wrong in ([{"group": "nobody", "role": "viewer"}], [{"group": "traders", "role": "owner"}], shares * 2, {}):
        assert ada.put(f"{made}/shares", wrong).status_code == 422
    assert ada.put(f"{made}/shares", [], If_Match=7).status_code == 409
    assert ada.put(f"{made}/shares", []).data == []
    assert program.get(made).status_code == 404
    assert AuditEntry.objects.filter(verb="workflow.shared").count() == 2
    assert not WorkflowShare.objects.exists()


def test_validation_tells_errors_warnings_and_levels(ada, made):
    response = ada.post(f"{made}/validate")
    assert response.data == {
        "is_valid": True,
        "errors": [],
        "warnings": [],
        "topology": {"levels": [["t"], ["a"], ["b"]], "total_levels": 3, "max_parallel_nodes": 1},
    }
    wide = ada.post("/workflows/validate", document("t>a", "t>b", "a>c", "b>c")).data["topology"]
    assert wide == {"levels": [["t"], ["a", "b"], ["c"]], "total_levels": 3, "max_parallel_nodes": 2}
    circle = ada.post("/workflows/validate", document("t>a", "a>b", "b>a")).data
    assert (circle["is_valid"], circle["topology"]) == (False, None)
    assert [error["code"] for error in circle["errors"]] == ["CYCLE_DETECTED"]
    for text in ("{", "- [", ""):
        for kind in ("application/json", "application/yaml"):
            if text:
                broken = ada.post("/workflows/validate", text=text, kind=kind)
                assert broken.status_code == 200
                assert broken.data["errors"][0]["code"] == "INVALID_DOCUMENT"


def test_a_workflow_is_built_from_single_nodes_and_edges(ada, made):
    node = {"key": "c", "type": "adapter", "output": {"amount": AMOUNT, "of": "${{ nodes.b }}"}}
    response = ada.post(f"{made}/nodes", node)
    assert (response.status_code, response["ETag"]) == (201, '"2"')
    assert {key: response.data[key] for key in node} == node
    # Nothing leads to it yet: that is kept, and blocks an execution.
    assert response.data["version"] == 2
    codes = {problem["code"] for problem in response.data["problems"]}
    assert codes == {"ISOLATED_NODE", "NOT_AN_ANCESTOR"}
    assert {problem["code"] for problem in ada.get(made).data["problems"]} == codes
    with pytest.raises(InvalidDefinition):
        start(StartRequest(target=Workflow.objects.get(), input={}))

    edge = ada.post(f"{made}/edges", {"from": "b", "to": "c", "label": "last"}, If_Match=2)
    assert (edge.status_code, edge.data["version"], edge.data["problems"]) == (201, 3, [])
    assert edge.data["from"] == "b"
    start(StartRequest(target=Workflow.objects.get(), input={}))

    listed = ada.get(f"{made}/edges")
    assert [item["to"] for item in listed.data["items"]] == ["a", "b", "c"]
    assert (listed.data["version"], listed["ETag"]) == (3, '"3"')
    changed = ada.patch(f"{made}/edges/{edge.data['id']}", {"from": "a", "label": "moved"}, If_Match=3)
    assert (changed.data["id"], changed.data["from"], changed.data["label"]) == (edge.data["id"], "a", "moved")
    renamed = ada.patch(f"{made}/nodes/a", {"key": "first", "name": "First"}, If_Match=4)
    assert (renamed.data["key"], renamed.data["version"]) == ("first", 5)
    assert ada.get(f"{made}/nodes/a").status_code == 404
    assert ada.get(f"{made}/nodes/first").data["name"] == "First"
    pairs = [(item["from"], item["to"]) for item in ada.get(f"{made}/document").data["edges"]]
    assert pairs == [("t", "first"), ("first", "b"), ("first", "c")]

    removed = ada.delete(f"{made}/nodes/b", If_Match=5)
    assert (removed.status_code, removed.data["version"], removed.data["key"]) == (200, 6, "b")
    assert [item["to"] for item in ada.get(f"{made}/edges").data["items"]] == ["first", "c"]
    gone = ada.delete(f"{made}/edges/{edge.data['id']}", If_Match=6)
    assert (gone.data["id"], gone.data["version"]) == (edge.data["id"], 7)
    assert {problem["code"] for problem in gone.data["problems"]} >= {"ISOLATED_NODE"}
    verbs = list(AuditEntry.objects.filter(object_type="workflow").order_by("id").values_list("verb", flat=True))
    assert verbs == [
        "workflow.created", "workflow.node_added", "workflow.edge_added", "workflow.edge_changed",
        "workflow.node_changed", "workflow.node_removed", "workflow.edge_removed",
    ]  # fmt: skip


def test_a_warning_is_told_by_the_validation_and_is_no_problem_of_the_workflow(ada, made, tools):
    @tool("test.order")
    def order() -> None:
        """At most once, as a tool that says nothing."""

    node = {"key": "c", "type": "tool", "tool": "test.order", "inputs": {}, "retry": {"max_retries": 1}}
    ada.post(f"{made}/nodes", node)
    assert ada.post(f"{made}/edges", {"from": "b", "to": "c"}).data["problems"] == []
    found = ada.post(f"{made}/validate").data
    assert found["is_valid"]
    assert [warning["code"] for warning in found["warnings"]] == ["RETRY_OF_AT_MOST_ONCE"]


@pytest.mark.parametrize(
    ("part", "body", "code"),
    [
        ("nodes", {}, "INVALID_DOCUMENT"),
        ("nodes", {"key": "c"}, "INVALID_DOCUMENT"),
        ("nodes", {"key": 5, "type": "trigger"}, "INVALID_KEY"),
        ("nodes", {"key": "1c", "type": "trigger"}, "INVALID_KEY"),
        ("nodes", {"key": "a", "type": "trigger"}, "DUPLICATE_KEY"),
        ("nodes", {"key": "c", "type": "adapter"}, "INVALID_CONFIG"),
        ("nodes", {"key": "c", "type": "adapter", "output": 1, "colour": "red"}, "UNKNOWN_KEY"),
        ("nodes", {"key": "c", "type": "tool", "tool": "core.nothing"}, "UNKNOWN_TOOL"),
        ("nodes", {"key": "c", "type": "adapter", "output": "${{ 1 + }}"}, "INVALID_EXPRESSION"),
        ("edges", {"from": "b"}, "INVALID_DOCUMENT"),
        ("edges", {"from": "b", "to": "z"}, "NODE_NOT_FOUND"),
        ("edges", {"from": "b", "to": "b"}, "SELF_LOOP"),
        ("edges", {"from": "b", "to": "a"}, "CYCLE_DETECTED"),
        ("edges", {"from": "b", "to": "t"}, "TRIGGER_HAS_INPUT"),
        ("edges", {"from": "a", "to": "b"}, "DUPLICATE_EDGE"),
        ("edges", {"from": "t", "to": "b", "handle": "left"}, "INVALID_HANDLE"),
    ],
)
def test_a_part_that_is_wrong_in_itself_is_refused(ada, made, part, body, code):
    response = ada.post(f"{made}/{part}", body)
    assert (response.status_code, response.data["code"]) == (422, "invalid_definition")
    assert code in {error["code"] for error in response.data["errors"]}
    assert ada.get(made).data["version"] == 1


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("nodes/b", {"key": "a"}, "DUPLICATE_KEY"),
        ("nodes/b", {"type": "trigger"}, "TRIGGER_HAS_INPUT"),
        ("nodes/b", {"key": None}, "INVALID_KEY"),
        ("nodes/b", {"tool": "core.nothing"}, "UNKNOWN_TOOL"),
        ("edges/0", {"to": "z"}, "NODE_NOT_FOUND"),
        ("edges/1", {"to": "a"}, "SELF_LOOP"),
        ("edges/0", {"from": None}, "INVALID_DOCUMENT"),
    ],
)
def test_a_change_that_makes_a_part_wrong_is_refused(ada, made, path, body, code):
    part, which = path.split("/")
    if part == "edges":
        which = ada.get(f"{made}/edges").data["items"][int(which)]["id"]
    response = ada.patch(f"{made}/{part}/{which}", body, If_Match=1)
    assert response.status_code == 422
    assert code in {error["code"] for error in response.data["errors"]}
    assert ada.get(made).data["version"] == 1


@pytest.mark.parametrize("path", ["nodes/z", "nodes/a%2Fb", "edges/z", "edges/00000000-0000-0000-0000-000000000000"])
def test_a_part_that_is_not_there_is_404(ada, made, path):
    for method in ("PATCH", "DELETE"):
        assert ada.send(method, f"{made}/{path}", {"label": "x"}, If_Match=1).status_code == 404


def test_parts_come_in_pages_in_document_order(ada):
    edges = [f"t>n{number}" for number in range(9)]
    address = f"/workflows/{ada.post('/workflows', document(*edges)).data['id']}"
    for part, of_item in (("nodes", lambda item: item["key"]), ("edges", lambda item: f"{item['from']}>{item['to']}")):
        seen, cursor = [], ""
        while cursor is not None:
            page = ada.get(f"{address}/{part}?limit=4{cursor and f'&cursor={cursor}'}").data
            seen += [of_item(item) for item in page["items"]]
            cursor = page["next"]
        assert seen == (edges if part == "edges" else ["t", *(f"n{number}" for number in range(9))])
