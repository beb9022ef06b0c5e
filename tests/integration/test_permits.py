"""Permits of a dispatcher: each takes up one run, whichever is next, and never more than the worker has room for."""

import asyncio

import pytest

from executions_app.dispatch.worker import Worker
from executions_app.models import WorkflowExecution
from executions_app.recorder.thread import in_recorder
from executions_app.services.start import StartRequest, start
from tests.integration.conftest import document
from workflows_app.tools import ToolContext, tool

pytestmark = pytest.mark.django_db(transaction=True)


class Site:
    """Runs whose node waits until it may end. `at_once` is how many were ever at work at the same time."""

    workflow = None

    def __init__(self):
        self.at_work = 0
        self.at_once = 0
        self.begun = []
        self.may_end = asyncio.Event()
        self.changed = asyncio.Condition()

    def accept(self, count=1):
        return [start(StartRequest(target=self.workflow, input={})).execution.id for _ in range(count)]

    async def work(self, execution_id):
        self.begun.append(execution_id)
        self.at_work += 1
        self.at_once = max(self.at_once, self.at_work)
        async with self.changed:
            self.changed.notify_all()
        await self.may_end.wait()
        self.at_work -= 1

    async def until(self, number):
        """So many have begun."""
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.begun) >= number)


@pytest.fixture
def site(import_document, tools):
    found = Site()

    @tool("test.held", effect="none")
    async def held(context: ToolContext) -> None:
        await found.work(context.execution_id)

    found.workflow = import_document(document("t>a", a={"tool": "test.held"}))
    return found


def statuses():
    return sorted(WorkflowExecution.objects.values_list("status", flat=True))


def test_permits_that_come_together_take_up_as_many_runs_as_there_is_room_for(site):
    _ = site.accept(7)

    async def main():
        worker = Worker(3)
        permits = [asyncio.create_task(worker.permit()) for _ in range(9)]
        await site.until(3)
        # The others wait for room, and take nothing that they could not run.
        assert await in_recorder(WorkflowExecution.objects.filter(status="running").count) == 3
        site.may_end.set()
        return await asyncio.gather(*permits)

    # Two too many find nothing.
    assert sorted(asyncio.run(main())) == [False] * 2 + [True] * 7
    assert (statuses(), site.at_once) == (["completed"] * 7, 3)


def test_a_permit_for_which_there_is_no_run_ends_at_once(site):
    assert asyncio.run(Worker(1).permit()) is False


def test_a_permit_is_for_whichever_run_is_next(site):
    first, second = (str(one) for one in site.accept(2))
    site.may_end.set()

    async def main():
        worker = Worker(1)
        return [await worker.permit(), await worker.permit(), await worker.permit()]

    assert asyncio.run(main()) == [True, True, False]
    assert site.begun == [first, second]


def test_a_worker_that_stops_ends_permits_that_wait_and_takes_up_nothing_more(site):
    first, _ = site.accept(2)

    async def main():
        # With such patience it takes nothing without a permit.
        worker = Worker(1, patience=3600)
        serving = asyncio.create_task(worker.serve())
        at_work = asyncio.create_task(worker.permit())
        await site.until(1)
        waits = asyncio.create_task(worker.permit())
        await asyncio.sleep(0)
        worker.stop()
        site.may_end.set()
        ended = await asyncio.gather(at_work, waits, worker.permit(), return_exceptions=True)
        await serving
        return ended

    at_work, *others = asyncio.run(main())
    assert at_work is True
    # It says so, or raises that it stops: either way nothing was taken.
    assert True not in others
    assert (site.begun, statuses()) == ([str(first)], ["completed", "pending"])
    _ = WorkflowExecution.objects.filter(status="pending").delete()


def test_a_permit_that_is_given_up_leaves_its_run_at_work(site):
    _ = site.accept()

    async def main():
        worker = Worker(1)
        permit = asyncio.create_task(worker.permit())
        await site.until(1)
        _ = permit.cancel()
        with pytest.raises(asyncio.CancelledError):
            await permit
        site.may_end.set()
        # The next permit waits for the room of that run.
        return await worker.permit()

    assert asyncio.run(main()) is False
    assert statuses() == ["completed"]
