"""Take up runs whose engine is gone, by hand or in a process of their own."""

import asyncio
import signal
import uuid
from collections.abc import Sequence

from executions_app.dispatch import runner
from executions_app.dispatch.running import hand_back_all
from executions_app.dispatch.worker import abandoned
from executions_app.models import WorkflowExecution
from executions_app.models.ownership import Abandoned
from executions_app.services.errors import ExecutionNotFound, NotAbandoned

# How often one that was just taken is looked for, when all are to be handed back.
_POLL_SECONDS = 0.5


def recoverable(ids: Sequence[uuid.UUID] = ()) -> Sequence[Abandoned]:
    """The runs whose engine is gone; of these ids, or all.

    Raises `ExecutionNotFound`, and `NotAbandoned` for one that has an engine, waits for one, or has ended.
    """
    found = abandoned(ids=ids)
    for other in set(ids) - {seen.execution_id for seen in found}:
        execution = WorkflowExecution.objects.filter(pk=other).first()
        if execution is None:
            raise ExecutionNotFound(other)
        raise NotAbandoned(other, execution.status, execution.claimed_by)
    return found


async def recover(found: Sequence[Abandoned]) -> None:
    """Run these to their ends in this event loop; at SIGTERM or Ctrl-C hand back what is under way.

    Those that may have killed their engine come last, one after another.
    """
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    handing_back = asyncio.create_task(_hand_back_after(stopped))
    _ = await asyncio.gather(*(runner.resume(seen) for seen in found if not seen.is_suspect))
    for seen in found:
        if seen.is_suspect and not stopped.is_set():
            _ = await runner.resume(seen)
    _ = handing_back.cancel()


async def _hand_back_after(stopped: asyncio.Event) -> None:
    _ = await stopped.wait()
    while True:
        # One that was just taken is not listed at once.
        hand_back_all(asyncio.get_running_loop())
        await asyncio.sleep(_POLL_SECONDS)
