"""With 100 000 executions on record the admin's pages read what an index has: the databases say how they would read."""

import pytest

from executions_app.engine.states import ExecutionStatus
from executions_app.models.querysets import EXECUTIONS
from executions_app.queries import ExecutionFilter, executions_page
from tests.integration.plans import Read, statements
from tests.integration.staff import LIST, SYSTEM, VIEW, browser, ids_of, text_of
from tests.integration.test_query_plans import _recorder_is_stopped, counted, history, used, whole

__all__ = ["_recorder_is_stopped", "counted", "history"]

pytestmark = pytest.mark.django_db

# The newest executions of all, one after the other, as many as a page needs.
IN_ORDER = Read(EXECUTIONS, "execution_newest", is_search=False)
FILTERS = {
    "status=pending": "execution_pending",
    "status=running": "execution_running",
    "status=failed&since=2026-01-01": "execution_failed",
    "status=cancelled": "execution_cancelled",
    "workflow={history.workflow.pk}": "execution_of_workflow",
    "workflow=w0": "execution_of_version",
    "q=w1": "execution_of_version",
    "q=unheard-of": "execution_of_version",
    "since=2026-01-04&until=2026-01-04": "execution_newest",
    "mine=1": "execution_of_user",
    "mine=1&status=completed&label=rare": "execution_of_user",
}


@pytest.fixture
def seen(counted):
    """Has one of the staff look at a page of the admin; what was sent to the database."""
    from django.contrib.auth.models import Permission  # noqa: PLC0415

    clients = {}
    for name in ("root", "ada", "bob", "cyd"):
        user = getattr(counted, name)
        user.is_staff = True
        user.save()
        user.user_permissions.set(Permission.objects.filter(codename__in=[VIEW, SYSTEM, "view_workflow"]))
        clients[name] = browser(user)

    def look(who, path):
        with statements() as sent:
            response = clients[who].get(path.format(history=counted))
        assert response.status_code == 200
        look.response = response
        return [one for one in sent if "EXPLAIN" not in one.sql]

    return look


@pytest.mark.parametrize("query", FILTERS)
@pytest.mark.parametrize("who", ["root", "ada", "bob", "cyd"])
def test_a_filter_of_the_list_is_served_by_an_index(seen, who, query):
    sent = seen(who, f"{LIST}?{query}")
    assert whole(sent) == []
    if who == "root":
        assert FILTERS[query] in used(sent)


@pytest.mark.parametrize("query", ["", "status=completed", "label=rare", "trigger_type=webhook"])
def test_who_sees_everything_reads_from_the_newest_on(seen, query):
    assert whole(seen("root", f"{LIST}?{query}")) == [IN_ORDER]


@pytest.mark.parametrize("who", ["ada", "bob", "cyd"])
@pytest.mark.parametrize("query", ["", "status=completed", "label=rare"])
def test_who_sees_some_workflows_reads_no_others(seen, who, query):
    assert whole(seen(who, f"{LIST}?{query}")) == []


@pytest.mark.parametrize("status", ["pending", "running", "failed", "cancelled"])
@pytest.mark.parametrize("who", ["ada", "bob", "cyd"])
def test_of_what_is_rare_each_is_asked_about_and_nothing_else(counted, who, status):
    wanted = ExecutionFilter(status=[ExecutionStatus(status)])
    with statements() as sent:
        executions_page(getattr(counted, who), wanted, 50, None)
    assert used(sent) == {f"execution_{status}"}


@pytest.mark.parametrize("who", ["root", "bob"])
def test_an_id_is_looked_up(seen, counted, who):
    sent = seen(who, f"{LIST}?q={counted.large}")
    assert whole(sent) == []
    assert ids_of(seen.response) == [str(counted.large)]


@pytest.mark.parametrize("who", ["root", "ada", "bob"])
def test_a_page_far_down_costs_what_the_first_one_does(seen, who):
    first = seen(who, f"{LIST}?since=2026-01-01")
    for _ in range(3):
        again = seen(who, LIST + seen.response.context["cl"].older)
        assert len(again) == len(first)
        assert whole(again) == []


@pytest.mark.parametrize("who", ["root", "ada", "bob", "cyd"])
@pytest.mark.parametrize("path", ["/admin/", f"{LIST}dashboard/"])
def test_the_dashboard_reads_what_indexes_have_in_a_few_queries(seen, who, path):
    sent = seen(who, path)
    assert whole(sent) == []
    assert len(sent) <= 22


@pytest.mark.parametrize("who", ["root", "ada"])
def test_the_system_page_reads_what_is_open_and_no_further_than_a_check_would_go(seen, who):
    assert whole(seen(who, f"{LIST}system/")) == [IN_ORDER]
    assert "more than 10000 executions" in text_of(seen.response)
