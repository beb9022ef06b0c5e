"""Documents into the database and out again."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
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
DEMOS = {path.stem: path.read_text() for path in sorted(Path("demo").glob("*.yaml"))}
EVERY_KEY = """edges:
- {to: a, from: t, label: "first: \\"way\\""}
- {from: a, to: c, handle: error}
- {from: a, priority: -3, condition: "x > 1", handle: out, to: c}
- {from: c, to: b, default: true, label: ""}
- {from: c, to: d, condition: x == 2}
nodes:
- {type: trigger, position: {y: -1.5, x: 0}, key: t, name: Start}
- key: a
  type: tool
  tool: core.set
  output_schema: {type: object}
  inputs: {z: null, a: [1, {q: []}], text: "000660", on: "ON", day: "2024-01-02", multi: "a\\nb\\n"}
  timeout_seconds: 1.50
  on_error: continue
  join: all_done
  retry: {never_retry_on: [ValueError], retry_on: [OSError], jitter: full, max_delay: 5, multiplier: 1.5, delay: 0,
    max_retries: 2}
- {key: c, type: condition, match: all, inputs: {x: 2}}
- {key: b, type: agent, provider: p, model: m, system: s, prompt: "say ${{ nodes.c.x }}", tools: [core.set],
  limits: {timeout_seconds: 5.0, max_tokens: 5}}
- {key: d, type: aggregator, strategy: avg, field: x.0.y, join: one_success}
output: {b: "${{ default(nodes.b, null) }}", a: 1}
settings: {allow_concurrent: false, timeout_seconds: null, on_failure: stop, scheduling: eager, max_parallel_nodes: 1}
input_schema: {type: object, $defs: {x: {const: 1.0}}}
variables:
  b: []
  a: {}
  odd key: "${{ x"
  e: 1e5
  zero: -0
  big: 115792089237316195423570985008687907853269984665640564039457584007913129639935
labels: [two, one]
description: "long: 'text'\\n with a # and ünïcode \\U0001F600\\n"
name: every-key
"""


@pytest.mark.parametrize("text", [*DEMOS.values(), EVERY_KEY], ids=[*DEMOS, "every key"])
@pytest.mark.parametrize("form", list(Format))
def test_what_is_exported_is_what_was_imported(owner, text, form):
    source = read(text)
    workflow, saved = save(source, owner)
    assert saved is Saved.CREATED
    again = read(export(workflow, form), form)
    # The text compares the order of keys as well.
    assert jsontext.dumps(again.document) == jsontext.dumps(source.document)
    assert save(again, owner)[1] is Saved.UNCHANGED


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


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{key: c, type: condition,", "{type: condition, key: c,"),
        ("timeout_seconds: 1.50", "timeout_seconds: 1.5"),
        ("e: 1e5", "e: 100000"),
    ],
    ids=["the order of keys", "a zero behind the point", "an exponent"],
)
def test_a_change_that_only_the_text_shows_is_a_new_version_too(owner, old, new):
    save(read(EVERY_KEY), owner)
    changed, saved = save(read(EVERY_KEY.replace(old, new)), owner)
    assert (saved, changed.version) == (Saved.UPDATED, 2)
    assert (Node.objects.count(), Edge.objects.count()) == (5, 5)


@pytest.mark.parametrize("before", [(), ("t>a",)], ids=["new", "changed"])
def test_a_save_that_fails_midway_leaves_nothing_half_done(owner, before, monkeypatch):
    if before:
        save(source_of(document(*before)), owner)
    monkeypatch.setattr(Edge.objects, "bulk_create", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save(source_of(document("t>b", "b>c")), owner)
    assert list(Workflow.objects.values_list("version", flat=True)) == [1] * len(before)
    assert sorted(Node.objects.values_list("key", flat=True)) == (["a", "t"] if before else [])
    assert Edge.objects.count() == len(before)


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


@pytest.mark.parametrize(
    ("old", "new", "code", "where"),
    [
        ("timeout_seconds: 5", "timeout_seconds: soon", "INVALID_CONFIG", "line 2, settings.timeout_seconds"),
        ("key: b,", "key: a,", "DUPLICATE_KEY", "line 10, node a, key"),
        ("max_retries: 1", "max_retries: -1", "INVALID_CONFIG", "line 9, node a, retry.max_retries"),
        ("max_retries: 1", "retries: 1", "UNKNOWN_KEY", "line 9, node a, retry.retries"),
        ("x: 1", 'x: "${{ nodes.b }}"', "NOT_AN_ANCESTOR", "line 8, node a, inputs.x"),
        ("nodes.a.x", "nodes.c.x", "UNKNOWN_REFERENCE", "line 10, node b, output"),
        ("from: a, to: b", "from: a, to: c", "NODE_NOT_FOUND", "line 13, edge a -> c, to"),
        ("from: a, to: b", "from: b, to: b", "SELF_LOOP", "line 13, edge b -> b"),
    ],
)
def test_a_problem_says_where_it_is_at_every_depth(owner, old, new, code, where):
    text = """name: good
settings: {timeout_seconds: 5}
nodes:
  - {key: t, type: trigger}
  - key: a
    type: tool
    tool: core.set
    inputs: {x: 1}
    retry: {max_retries: 1}
  - {key: b, type: adapter, output: "${{ nodes.a.x }}"}
edges:
  - {from: t, to: a}
  - {from: a, to: b}
"""
    with pytest.raises(InvalidDefinition) as refused:
        save(read(text.replace(old, new)), owner)
    found = {str(problem.code): problem for problem in refused.value.problems}
    assert found[code].where.startswith(where)
    assert not Workflow.objects.exists()


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
    save(source_of(document("t>b")), owner)
    assert Workflow.objects.get(pk=theirs.pk).version == 1


def test_an_owner_that_is_named_gets_what_is_imported(owner):
    printed = StringIO()
    call_command("import_workflow", "demo/hello.yaml", owner="ada", stdout=printed)
    assert printed.getvalue() == "hello: created, version 1\n"
    assert Workflow.objects.get().owner == owner


def test_several_files_are_imported_in_their_order_or_none_of_them(owner, tmp_path):
    files = [tmp_path / f"{name}.yaml" for name in ("two", "one")]
    for file in files:
        file.write_text(DEMOS["hello"].replace("name: hello", f"name: {file.stem}"))
    printed = StringIO()
    with pytest.raises(CommandError, match="nowhere") as refused:
        call_command("import_workflow", *files, "nowhere.yaml", owner="ada", stdout=printed)
    assert (refused.value.returncode, printed.getvalue(), Workflow.objects.count()) == (2, "", 0)
    call_command("import_workflow", *files, owner="ada", stdout=printed)
    assert printed.getvalue() == "two: created, version 1\none: created, version 1\n"


def test_warnings_alone_are_no_error(tmp_path):
    leads_nowhere = "  - {key: check, type: condition}\n\nedges:\n  - {from: start, to: check}"
    (tmp_path / "warned.yaml").write_text(DEMOS["hello"].replace("edges:", leads_nowhere))
    printed, told = StringIO(), StringIO()
    call_command("validate_workflow", tmp_path / "warned.yaml", stdout=printed, stderr=told)
    assert printed.getvalue().startswith("DEAD_END_CONDITION ")
    assert "0 errors, 1 warning" in told.getvalue()


@pytest.mark.parametrize("arguments", [["export_workflow", "nowhere"], ["validate_workflow", "nowhere"]])
def test_a_name_that_nobody_has_is_one_sentence_and_exit_2(arguments):
    with pytest.raises(CommandError, match=r"^There is no workflow 'nowhere'.*\.$") as refused:
        call_command(*arguments)
    assert refused.value.returncode == 2


def test_the_owner_that_is_made_where_there_is_none_has_no_password():
    told = StringIO()
    call_command("import_workflow", "demo/hello.yaml", stdout=StringIO(), stderr=told)
    made = Workflow.objects.get().owner
    assert (made.username, made.is_superuser, made.has_usable_password()) == ("admin", True, False)
    assert "admin" in told.getvalue()


def test_the_database_itself_refuses_what_no_graph_has(import_document):
    workflow = import_document(document("t>a"))
    trigger, _ = workflow.nodes.order_by("order")
    edge = workflow.edges.get()
    wrong = [
        Node(workflow=workflow, order=9, key="t", type="tool", definition={}),
        Node(workflow=workflow, order=9, key="x", type="loop", definition={}),
        Edge(workflow=workflow, order=9, source=trigger, target=trigger, definition={}),
        Edge(workflow=workflow, order=9, source=edge.source, target=edge.target, definition={}),
        Edge(workflow=workflow, order=9, source=trigger, target=edge.target, handle="sideways", definition={}),
        Workflow(owner=workflow.owner, name=workflow.name, head={}),
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
