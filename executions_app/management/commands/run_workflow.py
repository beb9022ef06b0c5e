"""`run_workflow NAME_OR_ID_OR_FILE`: run a workflow here and wait for its end."""

import asyncio
import math
import signal
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, cast, override

from django.core.management.base import CommandError, CommandParser

from executions_app.live.events import Observer
from executions_app.management.progress import LiveProgress, PlainProgress
from executions_app.models import NodeExecution, WorkflowExecution
from executions_app.queries import execution_by_id, execution_json
from executions_app.services.errors import RunError
from executions_app.services.run import cancel_soon, close, run_to_its_end
from executions_app.services.start import StartRequest, start
from workflows_app.dag import jsontext
from workflows_app.dag.types import JsonObject, JsonValue, Scheduling
from workflows_app.management.base import EXIT_INVALID, WorkflowCommand
from workflows_app.management.documents import is_file, read_file, refuse
from workflows_app.models import Workflow
from workflows_app.services.documents import Source
from workflows_app.services.errors import DefinitionError, InvalidDefinition
from workflows_app.services.lookup import find

EXIT_CODES = {"completed": 0, "failed": 1, "cancelled": 3}
# `--timeout` ran out: the run was left to a worker.
EXIT_RELEASED = 4
# Ctrl-C is 130, a termination 143, as shells count.
SIGNALLED = 128


class Command(WorkflowCommand):
    help = (
        "Run a workflow and wait for its end. The result goes to stdout, everything else to stderr. Exit codes: 0 "
        "completed, 1 failed, 2 invalid or not found, 3 cancelled, 4 --timeout ran out, 130 interrupted."
    )
    requires_system_checks = ()

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        _ = parser.add_argument("target", metavar="NAME_OR_ID_OR_FILE")
        _ = parser.add_argument("--input", metavar="JSON|@FILE|-", help="the input, an object")
        _ = parser.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            dest="assignments",
            help="one key of the input: JSON if it parses, else text; wins over --input",
        )
        _ = parser.add_argument("--json", action="store_true", help="print the whole execution as JSON")
        _ = parser.add_argument("--quiet", action="store_true", help="show no progress")
        _ = parser.add_argument("--scheduling", choices=[str(way) for way in Scheduling])
        _ = parser.add_argument("--idempotency-key", metavar="K", help="the same key brings back the same execution")
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
        execution: WorkflowExecution | None = None
        try:
            execution = self._start(options)
            if options["no_wait"]:
                shown = execution_json(execution_by_id(str(execution.id))) if options["json"] else None
                self.stdout.write(str(execution.id) if shown is None else jsontext.pretty(shown))
                return
            stopped_by = self._run(execution, options, seconds)
        except KeyboardInterrupt:
            if execution is not None:
                # Ctrl-C came before the loop listened for it: what was accepted must not stay pending.
                cancel_soon(execution.id)
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

    def _start(self, options: dict[str, Any]) -> WorkflowExecution:
        scheduling = options["scheduling"]
        try:
            request = StartRequest(
                target=_target(options["target"]),
                input=_input(options["input"], options["assignments"]),
                scheduling=Scheduling(scheduling) if scheduling else None,
                idempotency_key=options["idempotency_key"],
                reserved=not options["no_wait"],
            )
            return start(request).execution
        except InvalidDefinition as error:
            refuse(error, self.stderr, options["target"])
        except (DefinitionError, RunError) as error:
            raise _invalid(str(error)) from error

    def _run(self, execution: WorkflowExecution, options: dict[str, Any], seconds: float | None) -> int:
        """Run to the end, or wait where another process runs it. The signal that ended it, 0 for none."""
        if execution.is_finished:
            return 0
        with self._progress(execution, options) as progress:
            observe = None if progress is None else progress.observe
            with asyncio.Runner() as loop:
                return loop.run(_run_here(execution, observe, seconds))

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
            if execution.error is not None:
                self.stderr.write(str(execution.error["message"]))
        self.stdout.write(jsontext.pretty(shown if options["json"] else execution.output))


async def _run_here(execution: WorkflowExecution, observe: Observer | None, seconds: float | None) -> int:
    stopped_by = 0

    def stop(number: int) -> None:
        nonlocal stopped_by
        stopped_by = number
        cancel_soon(execution.id)

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
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
    raise _invalid(f"'{text}' is no number of seconds for --timeout: give 0 or more.")


def _target(argument: str) -> Workflow | Source:
    return read_file(argument) if is_file(argument) else find(argument)


def _input(argument: str | None, assignments: list[str]) -> JsonObject:
    value = _parse(argument)
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key:
            raise _invalid(f"--set {assignment} has no key and value: write --set key=value.")
        try:
            value[key] = jsontext.loads(text)
        except jsontext.JsonError:
            value[key] = text
    try:
        return cast(JsonObject, jsontext.clean(value))
    except jsontext.JsonError as error:
        # The bytes of a command line may be no text at all.
        raise _invalid(f"--set has a value that cannot be kept: {error}") from error


def _parse(argument: str | None) -> JsonObject:
    if argument is None:
        return {}
    try:
        if argument == "-":
            text = sys.stdin.read()
        elif argument.startswith("@"):
            text = Path(argument[1:]).read_text(encoding="utf-8")
        else:
            text = argument
        value: JsonValue = jsontext.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise _invalid(f"--input {argument} cannot be read: {error}.") from error
    except jsontext.JsonError as error:
        raise _invalid(f"--input is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise _invalid('--input must be an object, such as \'{"symbol": "AAPL"}\'.')
    return cast(JsonObject, value)


def _invalid(sentence: str) -> CommandError:
    return CommandError(sentence, returncode=EXIT_INVALID)
