"""Take up runs whose engine is gone, by hand or in a process of their own."""

import asyncio
import signal
import uuid
from collections.abc import Sequence

from executions_app.conf import execution_settings
from executions_app.dispatch import runner
from executions_app.dispatch.running import hand_back_all
from executions_app.dispatch.serving import serving
from executions_app.dispatch.worker import abandoned
from executions_app.models import WorkflowExecution
from executions_app.models.ownership import Abandoned
from executions_app.recorder.thread import in_recorder
from executions_app.services.errors import NotAbandoned

_POLL_SECONDS = 0.2
# So long a suspect has a process to itself, while none of its nodes is settled.
_ALONE_SECONDS = 60.0


def recoverable(ids: Sequence[uuid.UUID] = ()) -> tuple[Sequence[Abandoned], Sequence[NotAbandoned]]:
    """The runs whose engine is gone; of these ids, or all. And why the others of the ids are none of them."""
    found = abandoned(ids=ids)
    others = WorkflowExecution.objects.filter(pk__in=set(ids) - {seen.execution_id for seen in found})
    return found, [NotAbandoned(*row) for row in others.values_list("id", "status", "claimed_by")]


async def recover(found: Sequence[Abandoned], queues: Sequence[str] = ()) -> None:
    """Run these to their ends in this event loop; at SIGTERM or Ctrl-C hand back what is under way.

    Nodes for other queues than these, or than those of the settings, are other processes' to run.

    Those that may have killed their engine come last. Each is alone until one of its nodes is settled, or it lived long
    enough to seem harmless.
    """
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    handing_back = asyncio.create_task(_hand_back_after(stopped))
    with serving(queues or execution_settings().queues):
        await _recover(found, stopped)
    _ = handing_back.cancel()


async def _recover(found: Sequence[Abandoned], stopped: asyncio.Event) -> None:
    _ = await asyncio.gather(*(runner.resume(seen) for seen in found if not seen.is_suspect))
    proven: list[asyncio.Task[bool]] = []
    for seen in found:
        if seen.is_suspect and not stopped.is_set():
            run = asyncio.create_task(runner.resume(seen))
            proven.append(run)
            await _proved(seen, run)
    _ = await asyncio.gather(*proven)


async def _proved(seen: Abandoned, run: asyncio.Task[bool]) -> None:
    """Until this run has done nobody any harm."""
    loop = asyncio.get_running_loop()
    end = loop.time() + _ALONE_SECONDS
    while not run.done() and loop.time() < end:
        _ = await asyncio.wait({run}, timeout=_POLL_SECONDS)
        crashes = WorkflowExecution.objects.filter(pk=seen.execution_id).values_list("recoveries", flat=True)
        if not await in_recorder(crashes.get):
            return


async def _hand_back_after(stopped: asyncio.Event) -> None:
    _ = await stopped.wait()
    while True:
        # One that was just taken is not listed at once.
        hand_back_all(asyncio.get_running_loop())
        await asyncio.sleep(_POLL_SECONDS)
