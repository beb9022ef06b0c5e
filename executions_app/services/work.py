"""Run executions until told to stop."""

import asyncio
import signal

from executions_app.conf import execution_settings
from executions_app.dispatch.inline import start_engine
from executions_app.dispatch.worker import Worker


def work_in_background() -> None:
    """Have this process, which serves the site, run executions too, unless the settings say that others do."""
    if execution_settings().engine_in_asgi:
        start_engine()


def default_concurrency() -> int:
    """Runs at a time in one process, as the settings say."""
    return execution_settings().concurrency


async def work(concurrency: int) -> None:
    """Take up runs in this event loop until SIGTERM or Ctrl-C; then hand back those that are under way."""
    worker = Worker(concurrency)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, worker.stop)
    await worker.serve()
