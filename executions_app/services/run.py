"""Run an accepted execution in this process and wait for its end."""

import asyncio
import uuid

from executions_app.dispatch import runner
from executions_app.dispatch.running import hand_back
from executions_app.dispatch.worker import abandoned
from executions_app.live.events import Observer
from executions_app.live.publisher import publisher
from executions_app.models import WorkflowExecution
from executions_app.recorder.thread import in_recorder, recorder
from executions_app.services.cancel import cancel
from executions_app.services.errors import AlreadyFinished

# How often a run that another process owns is looked at.
POLL_SECONDS = 0.2


async def run_to_its_end(
    execution_id: uuid.UUID, observe: Observer | None = None, seconds: float | None = None
) -> bool:
    """Return when the execution has ended: run here, or by whoever took it before.

    False where it has not after so many seconds: it was handed back, and goes on in the next worker.
    """
    loop = asyncio.get_running_loop()
    end = None if seconds is None else loop.time() + seconds
    run = asyncio.create_task(runner.run(execution_id, observe=observe))
    _ = await asyncio.wait({run}, timeout=seconds)
    while not run.done():
        # Between its claim and its first node it is not listed yet.
        hand_back(execution_id)
        _ = await asyncio.wait({run}, timeout=POLL_SECONDS)
    _ = await run
    # Where the owner is another process there is no event to wait for.
    while not await in_recorder(lambda: _is_finished(execution_id)):
        if end is not None and loop.time() >= end:
            return False
        # Its turn may have come meanwhile.
        _ = await runner.run(execution_id, observe=observe)
        # Its owner may be gone, or this process may have lost it: whoever waits for a run can as well run it.
        for seen in await in_recorder(lambda: abandoned(ids=[execution_id])):
            _ = await runner.resume(seen)
        await asyncio.sleep(POLL_SECONDS)
    return True


def cancel_soon(execution_id: uuid.UUID) -> None:
    """Ask for an execution's end without waiting, as a signal handler must."""
    _ = recorder.call(lambda: _cancel(execution_id))


def close() -> None:
    """Write what waits and close the recorder's connection, at the end of a process."""
    recorder.stop()
    publisher.stop()


def _is_finished(execution_id: uuid.UUID) -> bool:
    return WorkflowExecution.objects.get(pk=execution_id).is_finished


def _cancel(execution_id: uuid.UUID) -> None:
    try:
        _ = cancel(execution_id)
    except AlreadyFinished:
        # It ended in the same moment.
        return
