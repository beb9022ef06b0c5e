"""What the commands that run an execution share: accept it, show its progress, report its end."""

import asyncio
import math
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, override

from django.core.management.base import CommandError, CommandParser

from executions_app.live.events import Observer
from executions_app.management.progress import LiveProgress, PlainProgress
from executions_app.models import NodeExecution, WorkflowExecution
from executions_app.queries import execution_by_id, execution_json
from executions_app.services.run import cancel_soon, close, run_to_its_end
from executions_app.usage import usage_sentence
from workflows_app.dag import jsontext
from workflows_app.management.base import EXIT_INVALID, WorkflowCommand

EXIT_CODES = {"completed": 0, "failed": 1, "cancelled": 3}
# `--timeout` ran out: the run was left to a worker.
EXIT_RELEASED = 4
# Ctrl-C is 130, a termination 143, as shells count.
SIGNALLED = 128
EXIT_CODES_HELP = (
    "The result goes to stdout, everything else to stderr. Exit codes: 0 completed, 1 failed, 2 invalid or not found, "
    "3 cancelled, 4 --timeout ran out, 130 interrupted."
)


class RunCommand(WorkflowCommand, ABC):
    """Runs what `accept` accepts, here, and waits for its end."""

    requires_system_checks = ()

    @abstractmethod
    def accept(self, options: dict[str, Any]) -> WorkflowExecution:
        """Put the execution on record. Raises `CommandError` for a request that is refused."""

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        _ = parser.add_argument("--json", action="store_true", help="print the whole execution as JSON")
        _ = parser.add_argument("--quiet", action="store_true", help="show no progress")
        _ = parser.add_argument(
            "--timeout", metavar="S", help="after so many seconds leave the run to a worker; exit 4"
        )
        _ = parser.add_argument(
            "--no-wait",
            action="store_true",
            help="leave the run to a worker; print its id, or with --json all of it",
        )

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        seconds = _seconds(options["timeout"])
        try:
            with _noted_signals() as noted:
                execution = self.accept(options)
                if options["no_wait"] and not noted:
                    shown = execution_json(execution_by_id(str(execution.id))) if options["json"] else None
                    self.stdout.write(str(execution.id) if shown is None else jsontext.pretty(shown))
                    return
                stopped_by = self._run(execution, options, seconds, noted)
        except KeyboardInterrupt:
            sys.exit(SIGNALLED + signal.SIGINT)
        finally:
            close()
        execution = execution_by_id(str(execution.id))
        if not execution.is_finished:
            if options["json"]:
                self.stdout.write(jsontext.pretty(execution_json(execution)))
            self.stderr.write(
                f"Execution {execution.id} has not ended within {options['timeout']} s: "
                + "a worker goes on with it (`manage.py run_worker`)."
            )
            sys.exit(EXIT_RELEASED)
        self._report(execution, options)
        sys.exit(SIGNALLED + stopped_by if stopped_by else EXIT_CODES[execution.status])

    def _run(
        self, execution: WorkflowExecution, options: dict[str, Any], seconds: float | None, noted: Sequence[int]
    ) -> int:
        """Run to the end, or wait where another process runs it. The signal that ended it, 0 for none."""
        if execution.is_finished:
            return 0
        with self._progress(execution, options) as progress:
            observe = None if progress is None else progress.observe
            with asyncio.Runner() as loop:
                return loop.run(_run_here(execution, observe, seconds, noted))

    def _progress(
        self, execution: WorkflowExecution, options: dict[str, Any]
    ) -> AbstractContextManager[LiveProgress | PlainProgress | None]:
        if options["quiet"]:
            return nullcontext(None)
        if sys.stderr.isatty():
            nodes = NodeExecution.objects.filter(execution=execution).order_by("level", "order")
            return LiveProgress(list(nodes.values_list("key", "type")), sys.stderr)
        return PlainProgress(sys.stderr)

    def _report(self, execution: WorkflowExecution, options: dict[str, Any]) -> None:
        shown = execution_json(execution)
        if not options["quiet"]:
            counts: dict[str, int] = {}
            for node in shown["nodes"]:
                counts[node["status"]] = counts.get(node["status"], 0) + 1
            summary = ", ".join(f"{count} {status}" for status, count in counts.items())
            took = "" if shown["duration_ms"] is None else f" in {shown['duration_ms']} ms"
            self.stderr.write(f"Execution {execution.id} {execution.status}{took}: {summary}.")
            if usage := shown.get("usage"):
                self.stderr.write(f"Agents took {usage_sentence(usage)}.")
            if execution.error is not None:
                self.stderr.write(str(execution.error["message"]))
        self.stdout.write(jsontext.pretty(shown if options["json"] else execution.output))


@contextmanager
def _noted_signals() -> Generator[Sequence[int]]:
    """Ctrl-C and a termination are noted inside, until a loop listens for them; a second one interrupts at once.

    An interrupt that is raised wherever the program happens to be is lost where that is no place for exceptions, as in
    the import of a module; and between a commit and the next line nobody knows of what was accepted.
    """
    noted: list[int] = []

    def note(number: int, _frame: object) -> None:
        noted.append(number)
        if len(noted) > 1:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            _ = signal.signal(number, handler)


async def _run_here(
    execution: WorkflowExecution, observe: Observer | None, seconds: float | None, noted: Sequence[int]
) -> int:
    stopped_by = 0

    def stop(number: int) -> None:
        nonlocal stopped_by
        stopped_by = number
        cancel_soon(execution.id)

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    # Only now: what comes from here on is heard by the loop.
    for number in noted:
        stop(number)
    _ = await run_to_its_end(execution.id, observe, seconds)
    return stopped_by


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if 0 <= seconds < math.inf:
        return seconds
    raise CommandError(f"'{text}' is no number of seconds for --timeout: give 0 or more.", returncode=EXIT_INVALID)
