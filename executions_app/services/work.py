"""Run executions until told to stop."""

from collections.abc import Sequence

from executions_app.conf import execution_settings
from executions_app.dispatch.chosen import dispatcher
from executions_app.dispatch.inline import start_engine


def work_in_background() -> None:
    """Have this process, which serves the site, run executions too, unless the settings say that others do."""
    if execution_settings().engine_in_asgi:
        start_engine()


def default_concurrency() -> int:
    """Runs at a time in one process, as the settings say."""
    return execution_settings().concurrency


async def work(concurrency: int, queues: Sequence[str] = ()) -> None:
    """Take up runs in this event loop until SIGTERM or Ctrl-C; then hand back those that are under way.

    Of these queues, or of those that the settings say, which are all where they say nothing.
    """
    await dispatcher().serve(concurrency, queues or execution_settings().queues)
