"""Documents into the database and out again."""

from pathlib import Path

import pytest
from django.db import IntegrityError, transaction

from tests.integration.conftest import document, source_of
from workflows_app.dag import jsontext, yamltext
from workflows_app.models import Edge, Node, Workflow, WorkflowVersion
from workflows_app.models.version import ImmutableSnapshot
from workflows_app.services.documents import Format, Saved, document_of, export, read, save
from workflows_app.services.errors import AmbiguousName, InvalidDefinition, WorkflowNotFoundError
from workflows_app.services.lookup import find
from workflows_app.services.publish import publish, publish_anonymous

pytestmark = pytest.mark.django_db
DEMOS = sorted(Path("demo").glob("*.yaml"))


@pytest.mark.parametrize("path", DEMOS, ids=lambda path: path.stem)
@pytest.mark.parametrize("form", list(Format))
def test_what_is_exported_is_what_was_imported(owner, path, form):
    source = read(path.read_text())
    workflow, saved = save(source, owner)
    assert saved is Saved.CREATED
    again = read(export(workflow, form), form)
    # The text compares the order of keys as well.
    assert jsontext.dumps(again.document) == jsontext.dumps(source.document)


def test_keys_keep_their_order_and_numbers_their_digits(owner):
    text = (
        "edges: [{to: b, from: a}]\nvariables: {z: 1.10, a: 1234567890123456789.123456789}\n"
        "nodes: [{type: trigger, key: a}, {output: {n: 1e5}, key: b, type: adapter}]\nname: order\n"
    )
    workflow, _ = save(read(text), owner)
    assert jsontext.dumps(document_of(Workflow.objects.get(pk=workflow.pk))) == jsontext.dumps(
        yamltext.load(text).value
    )
    assert "1.10" in export(workflow, Format.YAML)


def test_identical_content_changes_nothing_and_other_content_makes_a_new_version(owner):
    _, first = save(source_of(document("t>a")), owner)
    same, second = save(source_of(document("t>a")), owner)
    assert (first, second, same.version) == (Saved.CREATED, Saved.UNCHANGED, 1)
    changed, third = save(source_of(document("t>a", "t>b")), owner)
    assert (third, changed.version, changed.pk) == (Saved.UPDATED, 2, same.pk)
    assert sorted(Node.objects.values_list("key", flat=True)) == ["a", "b", "t"]


def test_a_document_with_errors_saves_nothing_of_it(owner):
    save(source_of(document("t>a")), owner)
    with pytest.raises(InvalidDefinition) as refused:
        save(source_of(document("t>a", "a>b", "b>a", nothing=1)), owner)
    assert {str(problem.code) for problem in refused.value.problems} >= {"CYCLE_DETECTED", "UNKNOWN_KEY"}
    assert Workflow.objects.get().version == 1
    assert Node.objects.count() == 2


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("name: [", "line 2"),
        ('{"name": "x",\n "nodes": }', "line 2"),
        ("a: 1\na: 2", "stands twice"),
        ('{"name": "x", "name": "y", "nodes": [], "edges": []}', "stands twice"),
        ("", "empty"),
    ],
)
def test_text_that_is_no_document_is_refused_with_its_place(text, part):
    with pytest.raises(InvalidDefinition, match=part):
        read(text)


def test_problems_have_the_line_of_the_source(owner):
    text = """name: x
nodes:
  - {key: t, type: trigger}
  - key: a
    type: tool
    tool: core.slep
edges:
  - {from: t, to: a}
"""
    for source in (read(text), read(jsontext.pretty(yamltext.load(text).value))):
        with pytest.raises(InvalidDefinition) as refused:
            save(source, owner)
        (problem,) = refused.value.problems
        assert (problem.code, problem.node, problem.field) == ("UNKNOWN_TOOL", "a", "tool")
        assert problem.line in (6, 11)


def test_two_owners_may_use_one_name(owner, django_user_model):
    other = django_user_model.objects.create_user("grace")
    save(source_of(document("t>a")), owner)
    theirs, _ = save(source_of(document("t>a")), other)
    with pytest.raises(AmbiguousName, match="ada/test, grace/test"):
        find("test")
    assert find("grace/test") == theirs
    assert find(str(theirs.pk)) == theirs
    with pytest.raises(WorkflowNotFoundError):
        find("nobody/test")


def test_the_database_itself_refuses_what_no_graph_has(import_document):
    workflow = import_document(document("t>a"))
    trigger, _ = workflow.nodes.order_by("order")
    edge = workflow.edges.get()
    wrong = [
        Node(workflow=workflow, order=9, key="t", type="tool", definition={}),
        Node(workflow=workflow, order=9, key="x", type="loop", definition={}),
        Edge(workflow=workflow, order=9, source=trigger, target=trigger, definition={}),
        Edge(workflow=workflow, order=9, source=edge.source, target=edge.target, definition={}),
    ]
    for row in wrong:
        with pytest.raises(IntegrityError), transaction.atomic():
            row.save(force_insert=True)


def test_a_snapshot_is_made_once_and_never_changes(import_document):
    workflow = import_document(document("t>a"))
    version = publish(workflow)
    assert publish(Workflow.objects.get(pk=workflow.pk)) == version
    version.name = "other"
    with pytest.raises(ImmutableSnapshot):
        version.save()


def test_a_document_without_a_workflow_has_one_snapshot_however_often_it_runs(db):
    first, second = (publish_anonymous(source_of(document("t>a"))) for _ in range(2))
    assert first == second
    assert (first.workflow_id, first.number) == (None, None)
    assert WorkflowVersion.objects.count() == 1
