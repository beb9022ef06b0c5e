"""A real database in a file and the real recorder; after each test every execution in it must be sound."""

from typing import Any

import pytest
from asgiref.sync import SyncToAsync
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.db import connections

from executions_app.models import ExecutionLog, NodeAttempt, NodeExecution, WorkflowExecution
from executions_app.queries import execution_json
from executions_app.recorder.thread import recorder
from executions_app.services.soundness import violations
from workflows_app.dag import jsontext
from workflows_app.dag.plan import Plan
from workflows_app.models import Workflow
from workflows_app.services.documents import Source, save
from workflows_app.tools.registry import registry

TERMINAL = {"completed", "failed", "skipped", "cancelled"}


@pytest.fixture(autouse=True)
def _recorder_is_stopped(request):
    """The recorder's connection is closed before the database goes, and nothing unsound is left in it."""
    yield
    recorder.stop()
    # Of the thread in which async code calls the ORM here: a later test may end all connections of the database.
    SyncToAsync.single_thread_executor.submit(connections.close_all).result()
    if request.node.get_closest_marker("django_db"):
        for execution in WorkflowExecution.objects.all():
            assert_sound(execution)
        assert list(violations()) == []


@pytest.fixture(autouse=True)
def _nothing_was_counted():
    """What a test sends counts towards its own limits alone."""
    cache.clear()


@pytest.fixture
def owner():
    return get_user_model().objects.create_user("ada")


@pytest.fixture
def tools():
    """Tools that a test registers are forgotten after it."""
    with registry.scoped():
        yield registry


@pytest.fixture
def import_document(owner):
    def import_(document: dict[str, Any]) -> Workflow:
        workflow, _ = save(source_of(document), owner)
        return workflow

    return import_


def source_of(document: Any) -> Source:
    return Source(document=jsontext.clean(document), line_of=lambda _path: None)


def assert_sound(execution: WorkflowExecution) -> None:
    """What must hold of every record at any time between two tests: nothing is running any more."""
    nodes = list(NodeExecution.objects.filter(execution=execution).order_by("order"))
    logs = list(ExecutionLog.objects.filter(execution=execution).order_by("seq"))
    plan = Plan.from_json(execution.version.plan)
    assert [node.key for node in nodes] == [node.key for node in plan.nodes]
    assert [log.seq for log in logs] == list(range(1, execution.last_seq + 1))
    assert (execution.ended_at is not None) == (execution.status in TERMINAL)
    assert execution.status != "running"
    if execution.status in TERMINAL:
        assert logs[-1].event == f"execution.{execution.status}"
        assert {node.status for node in nodes} <= TERMINAL
        ends = [log.node for log in logs if log.event.removeprefix("node.") in TERMINAL and log.node]
        assert sorted(ends) == sorted(node.key for node in nodes)
        for node in nodes:
            assert node.ended_at is not None
            assert node.started_at is None or node.started_at <= node.ended_at
    assert_sound_attempts(execution, nodes)
    assert execution_json(execution)["seq"] == len(logs)


def assert_sound_attempts(execution: WorkflowExecution, nodes: list[NodeExecution]) -> None:
    attempts: dict[int, list[NodeAttempt]] = {node.order: [] for node in nodes}
    for attempt in NodeAttempt.objects.filter(execution=execution):
        attempts[attempt.order].append(attempt)
    for node in nodes:
        own = attempts[node.order]
        if _is_kept(execution, node):
            assert own == []
            continue
        assert [attempt.number for attempt in own] == list(range(1, len(own) + 1))
        assert (node.started_at is None) == (not own)
        if own:
            assert len(own) >= node.retry_count
            assert own[-1].attempt_id == node.attempt_id
            assert "succeeded" not in [attempt.outcome for attempt in own[:-1]]
        if execution.status in TERMINAL:
            assert "started" not in [attempt.outcome for attempt in own]
        if node.status == "completed":
            # Those that a crash broke off are no retries.
            whole = [attempt for attempt in own if attempt.outcome != "abandoned"]
            if (node.details or {}).get("reconciled") == "done":
                assert own[-1].outcome in {"abandoned", "timed_out"}
            else:
                assert (own[-1].outcome, len(whole)) == ("succeeded", node.retry_count + 1)


def _is_kept(execution: WorkflowExecution, node: NodeExecution) -> bool:
    """Whether it was over before this execution began: then nothing of it may have happened here."""
    if execution.rerun_of_id is None or node.status not in {"completed", "skipped"}:
        return False
    ends = ExecutionLog.objects.filter(execution=execution, node=node.key, event=f"node.{node.status}")
    return "kept_from" in (ends.get().data or {})


def document(*edges: str, name: str = "test", **fields: Any) -> dict[str, Any]:
    """A document of edges such as `t>a`; the first node is a trigger, the others `core.set` unless `fields` say more.

    A field that is no node's key goes to the top of the document.
    """
    pairs = [edge.split(">") for edge in edges]
    keys = list(dict.fromkeys(key for pair in pairs for key in pair))
    nodes = []
    for position, key in enumerate(keys):
        own = fields.pop(key, {})
        kind = own.get("type", "tool" if position else "trigger")
        base = {"key": key, "type": kind}
        if kind == "tool" and "tool" not in own:
            base |= {"tool": "core.set", "inputs": {"from": key}}
        nodes.append(base | own)
    return {"name": name, **fields, "nodes": nodes, "edges": [{"from": a, "to": b} for a, b in pairs]}
