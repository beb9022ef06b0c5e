"""Run executions until told to stop."""

import asyncio
import signal

from executions_app.dispatch.worker import Worker


async def work(concurrency: int) -> None:
    """Take up runs in this event loop until SIGTERM or Ctrl-C; then hand back those that are under way."""
    worker = Worker(concurrency)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, worker.stop)
    await worker.serve()
