"""The list of executions in the admin: who sees which, filters, pages, actions with their questions and answers."""

import asyncio

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from executions_app.executor import WorkflowExecutor
from executions_app.models import WorkflowExecution
from executions_app.services.cancel import cancel
from executions_app.services.start import StartRequest, start
from tests.integration.conftest import document
from tests.integration.staff import CANCEL, LIST, RERUN, VIEW, browser, ids_of, staff, superuser, text_of, told
from workflows_app.models import AuditEntry
from workflows_app.models.access import Role

pytestmark = pytest.mark.django_db(transaction=True)

ACTIONS = ("cancel_selected", "rerun_from_start", "rerun_from_failure")
FAILING = {"tool": "core.fail", "inputs": {"message": "it <b>broke</b>"}}


@pytest.fixture
def workflow(import_document):
    return import_document(document("t>a", name="alpha", labels=["nightly"]))


@pytest.fixture
def failing(import_document):
    return import_document(document("t>a", name="broken", a=FAILING))


def pending(workflow, user=None, count=1, **fields):
    """Executions that wait; the last one is the newest."""
    return [start(StartRequest(target=workflow, input={}, user=user, **fields)).execution for _ in range(count)]


def ended(workflow):
    result = asyncio.run(WorkflowExecutor().execute(workflow.id))
    return WorkflowExecution.objects.get(pk=result.execution_id)


def ids(executions):
    return [str(execution.pk) for execution in executions]


def act(client, action, executions, **fields):
    """What an action answers: the question, or with `confirmed` the list again."""
    data = {"action": action, "_selected_action": ids(executions), **fields}
    return client.post(LIST, data if "confirmed" in fields else {**data, "index": "0"}, follow=True)


def test_who_is_not_logged_in_or_lacks_the_permission_sees_no_list(client, workflow):
    assert client.get(LIST).status_code == 302
    assert browser(staff("eve")).get(LIST).status_code == 403


def test_staff_sees_the_executions_of_workflows_that_are_shared_and_superusers_all(workflow, failing):
    shown, hidden = pending(workflow), pending(failing)
    viewer = browser(staff("bob", VIEW, shared=workflow))
    assert ids_of(viewer.get(LIST)) == ids(shown)
    assert ids_of(browser(staff("eve", VIEW)).get(LIST)) == []
    assert set(ids_of(browser(superuser()).get(LIST))) == set(ids(shown + hidden))
    assert "broken" not in text_of(viewer.get(f"{LIST}{hidden[0].pk}/change/", follow=True))
    assert "broken" not in text_of(viewer.get(LIST))


def test_the_newest_come_first_and_an_older_page_goes_on_where_the_first_one_ended(workflow, owner, settings):
    owner.is_staff = owner.is_superuser = True
    owner.save()
    made = pending(workflow, count=60)
    client = browser(owner)
    first = client.get(LIST)
    older = first.context["cl"].older
    second = client.get(f"{LIST}{older}")
    assert ids_of(first) + ids_of(second) == ids(reversed(made))
    assert (len(ids_of(first)), second.context["cl"].older) == (50, None)
    assert "Newest" in text_of(second)
    assert "Newest" not in text_of(first)


def test_a_page_that_nobody_gave_leads_back_to_the_list(workflow):
    response = browser(superuser()).get(f"{LIST}?p=nonsense")
    assert (response.status_code, response["Location"]) == (302, f"{LIST}?e=1")


def test_filters_stand_in_the_url(workflow, failing):
    root = superuser()
    client = browser(root)
    (waiting,), (own,) = pending(workflow), pending(workflow, root, labels=["special"], trigger_type="webhook")
    failed = ended(failing)

    def found(query):
        return set(ids_of(client.get(f"{LIST}?{query}")))

    everything = {str(waiting.pk), str(own.pk), str(failed.pk)}
    assert found("") == everything
    assert found("status=failed") == {str(failed.pk)}
    assert found("status=failed&status=pending") == everything
    assert found("workflow=broken") == found(f"workflow={failing.pk}") == {str(failed.pk)}
    assert found("label=special") == found("trigger_type=webhook") == found("mine=1") == {str(own.pk)}
    assert found("label=nightly") == everything - {str(failed.pk)}
    assert found("since=1h") == found("since=2026-01-01") == found("until=2999-12-31") == everything
    assert found("until=2026-01-01") == found("since=2999-01-01") == set()
    today = f"{waiting.created_at:%Y-%m-%d}"
    assert found(f"since={today}&until={today}") == everything
    # What a form keeps comes before the field that it leaves empty.
    assert found("since=2999-01-01&since=&workflow=&label=") == set()


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("since=yesterday", "“yesterday” is no time"),
        ("until=2026-02-31", "“2026-02-31” is no time"),
        ("status=lost", "There is no status “lost”."),
    ],
)
def test_a_filter_that_means_nothing_is_told(workflow, query, sentence):
    pending(workflow)
    response = browser(superuser()).get(f"{LIST}?{query}")
    assert sentence in " ".join(told(response))
    assert len(ids_of(response)) == 1


def test_a_search_finds_a_part_of_a_name_and_the_beginning_of_an_id(workflow, failing):
    client = browser(superuser())
    (one,), (other,) = pending(workflow), pending(failing)
    assert ids_of(client.get(f"{LIST}?q=lph")) == [str(one.pk)]
    assert ids_of(client.get(f"{LIST}?q={other.pk}")) == [str(other.pk)]
    assert ids_of(client.get(f"{LIST}?q={str(other.pk)[:35]}")) == [str(other.pk)]
    assert set(ids_of(client.get(f"{LIST}?q={str(one.pk)[:8]}"))) >= {str(one.pk)}
    empty = client.get(f"{LIST}?q=nothing-like-it")
    assert ids_of(empty) == []
    assert "No execution is like that." in text_of(empty)


@pytest.mark.parametrize("query", ["workflow__owner__username=ada", "version__plan__contains=x", "started_by__email=x"])
def test_a_filter_on_what_belongs_to_others_is_refused(workflow, query):
    assert browser(staff("bob", VIEW, shared=workflow)).get(f"{LIST}?{query}").status_code == 400


def test_a_row_says_why_in_one_line_and_no_markup_of_a_tool_gets_through(failing):
    failed = ended(failing)
    response = browser(superuser()).get(LIST)
    assert "a: it <b>broke</b>" in text_of(response)
    assert b"<b>broke</b>" not in response.content
    assert failed.status == "failed"


def test_a_duration_stands_beside_the_median_of_its_workflow(workflow, failing):
    client = browser(superuser())
    first = ended(workflow)
    ended(failing)
    page = client.get(LIST).content.decode()
    assert page.count('<svg class="pt-bar') == 1
    assert "The median of this workflow is" in page
    assert client.get(LIST).context["cl"].result_list[-1].pk == first.pk


def test_more_rows_are_no_more_queries(workflow, failing):
    client = browser(superuser())
    counts = []
    for count in (2, 20):
        pending(workflow, superuser(f"root-{count}"), count=count)
        ended(failing)
        ended(workflow)
        client.get(LIST)
        with CaptureQueriesContext(connection) as sent:
            client.get(LIST)
        counts.append(len(sent))
    assert counts[0] == counts[1] <= 8


def test_what_is_asked_for_by_a_script_is_the_rows_alone_and_leaves_the_messages(workflow):
    client = browser(superuser())
    made = pending(workflow)
    client.post(LIST, {"action": "cancel_selected", "_selected_action": ids(made), "confirmed": "yes"})
    part = client.get(LIST, headers={"X-Live": "1"})
    assert ids_of(part) == ids(made)
    assert b"<html" not in part.content
    assert told(client.get(LIST)) == ["1 of 1 execution is being cancelled."]


def test_records_are_neither_added_nor_changed_nor_deleted(workflow):
    client = browser(superuser())
    (execution,) = pending(workflow)
    assert client.get(f"{LIST}add/").status_code == 403
    assert client.post(f"{LIST}{execution.pk}/delete/", {"post": "yes"}).status_code == 403
    assert client.post(f"{LIST}{execution.pk}/change/", {"status": "completed"}).status_code in (403, 405)
    assert "delete_selected" not in client.get(LIST).content.decode()
    execution.refresh_from_db()
    assert execution.status == "pending"


def test_a_cancel_is_asked_about_first_and_says_why_not_all(workflow):
    client = browser(superuser())
    waiting, over = pending(workflow, count=3), [ended(workflow), ended(workflow)]
    question = act(client, "cancel_selected", [*waiting, *over])
    assert "3 executions will be cancelled" in text_of(question)
    assert "2 had ended already." in text_of(question)
    assert set(WorkflowExecution.objects.values_list("status", flat=True)) == {"pending", "completed"}
    answer = act(client, "cancel_selected", [*waiting, *over], confirmed="yes", why="enough")
    assert told(answer) == ["3 of 5 executions are being cancelled; 2 had ended already."]
    assert {row.status for row in WorkflowExecution.objects.filter(pk__in=ids(waiting))} == {"cancelled"}
    assert {row.cancel_reason for row in WorkflowExecution.objects.filter(pk__in=ids(waiting))} == {"enough"}
    assert "somebody asked for it: enough" in text_of(answer)
    assert AuditEntry.objects.filter(verb="execution.cancel_requested", address="127.0.0.1").count() == 3


def test_where_nothing_can_be_done_nothing_is_offered(workflow):
    question = act(browser(superuser()), "cancel_selected", [ended(workflow)])
    assert "There is nothing to do." in text_of(question)
    assert "Yes, cancel" not in text_of(question)


def test_a_run_again_starts_new_executions_of_what_has_ended(workflow, failing):
    client = browser(superuser())
    over, failed, waiting = ended(workflow), ended(failing), pending(workflow)[0]
    question = act(client, "rerun_from_start", [over, failed, waiting])
    assert "2 new executions will start" in text_of(question)
    answer = act(client, "rerun_from_start", [over, failed, waiting], confirmed="yes")
    assert told(answer) == ["2 of 3 executions run again; 1 has not ended yet."]
    again = WorkflowExecution.objects.filter(rerun_of__isnull=False)
    assert {row.rerun_of_id for row in again} == {over.pk, failed.pk}
    answer = act(client, "rerun_from_failure", [over, failed], confirmed="yes")
    assert told(answer) == ["1 of 2 executions run again; 1 completed and has no failure to go on from."]


def test_a_workflow_that_is_off_or_allows_one_run_is_told(workflow, import_document):
    client = browser(superuser())
    single = import_document(document("t>a", name="single", settings={"allow_concurrent": False}))
    alone, off = ended(single), ended(workflow)
    workflow.is_active = False
    workflow.save()
    (waiting,) = pending(single)
    answer = act(client, "rerun_from_start", [alone, off], confirmed="yes")
    assert told(answer) == [
        "0 of 2 executions run again; 1 is of a workflow that allows one execution at a time and has one; "
        "1 is of a workflow that is not active."
    ]
    cancel(waiting.pk)


@pytest.mark.parametrize(
    ("role", "permissions", "cancelled"),
    [
        (Role.VIEWER, (VIEW, CANCEL, RERUN), 0),
        (Role.OPERATOR, (VIEW, CANCEL, RERUN), 1),
        (Role.EDITOR, (VIEW, CANCEL, RERUN), 1),
        (Role.OPERATOR, (VIEW,), None),
    ],
)
def test_an_action_needs_the_role_and_the_permission(workflow, role, permissions, cancelled):
    client = browser(staff("bob", *permissions, shared=workflow, role=role))
    (execution,) = pending(workflow)
    offered = [action for action in ACTIONS if action in client.get(LIST).content.decode()]
    assert offered == ([] if cancelled is None else list(ACTIONS))
    question = act(client, "cancel_selected", [execution])
    answer = act(client, "cancel_selected", [execution], confirmed="yes")
    execution.refresh_from_db()
    assert execution.status == ("cancelled" if cancelled else "pending")
    if cancelled == 0:
        assert "For 1 your role does not allow it." in text_of(question)
        assert told(answer) == ["0 of 1 execution is being cancelled; for 1 your role does not allow it."]


def test_the_executions_of_others_cannot_be_named_and_all_cannot_be_meant(workflow, failing):
    client = browser(staff("bob", VIEW, CANCEL, RERUN, shared=workflow, role=Role.OPERATOR))
    (own,), (others, *_) = pending(workflow), pending(failing, count=2)
    answer = act(client, "cancel_selected", [own, others], confirmed="yes", select_across="1")
    assert told(answer) == ["1 of 1 execution is being cancelled."]
    assert set(WorkflowExecution.objects.exclude(pk=own.pk).values_list("status", flat=True)) == {"pending"}


def test_nothing_is_done_by_a_link_or_from_another_site(workflow):
    root = superuser()
    (execution,) = pending(workflow)
    data = {"action": "cancel_selected", "_selected_action": str(execution.pk), "confirmed": "yes"}
    client = browser(root)
    client.get(LIST, data)
    strict = type(client)(enforce_csrf_checks=True)
    strict.force_login(root)
    assert strict.post(LIST, data).status_code == 403
    execution.refresh_from_db()
    assert execution.status == "pending"
