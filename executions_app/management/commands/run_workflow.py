"""`run_workflow NAME_OR_ID_OR_FILE`: run a workflow here and wait for its end."""

import argparse
import re
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, cast, override

from django.core.management.base import CommandError, CommandParser

from executions_app.management.running import EXIT_CODES_HELP, RunCommand
from executions_app.models import WorkflowExecution
from executions_app.services.errors import RunError
from executions_app.services.start import StartRequest, start
from workflows_app.dag import jsontext
from workflows_app.dag.moments import instant
from workflows_app.dag.types import MAX_PRIORITY, JsonObject, JsonValue, Scheduling
from workflows_app.management.base import EXIT_INVALID
from workflows_app.management.documents import is_file, read_file, refuse
from workflows_app.models import Workflow
from workflows_app.services.documents import Source
from workflows_app.services.errors import DefinitionError, InvalidDefinition
from workflows_app.services.lookup import find


class Command(RunCommand):
    help = f"Run a workflow and wait for its end. {EXIT_CODES_HELP}"

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
        _ = parser.add_argument("--scheduling", choices=[str(way) for way in Scheduling])
        _ = parser.add_argument("--idempotency-key", metavar="K", help="the same key brings back the same execution")
        _ = parser.add_argument("--priority", type=_priority, metavar="N", help="from -100 to 100")
        _ = parser.add_argument(
            "--run-at", type=_time, metavar="TIME", help="leave it to a worker, not before 2026-01-02T09:30:00Z"
        )
        super().add_arguments(parser)

    @override
    def accept(self, options: dict[str, Any]) -> WorkflowExecution:
        scheduling = options["scheduling"]
        options["no_wait"] = options["no_wait"] or options["run_at"] is not None
        try:
            request = StartRequest(
                target=_target(options["target"]),
                input=_input(options["input"], options["assignments"]),
                scheduling=Scheduling(scheduling) if scheduling else None,
                idempotency_key=options["idempotency_key"],
                priority=options["priority"],
                run_at=options["run_at"],
                reserved=not options["no_wait"],
            )
            return start(request).execution
        except InvalidDefinition as error:
            refuse(error, self.stderr, options["target"])
        except (DefinitionError, RunError) as error:
            raise _invalid(str(error)) from error


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


def _priority(text: str) -> int:
    if re.fullmatch(r"-?\d{1,3}", text, re.ASCII) and abs(int(text)) <= MAX_PRIORITY:
        return int(text)
    raise argparse.ArgumentTypeError(f"'{text}' is no priority: give a whole number from -100 to 100.")


def _time(text: str) -> datetime:
    try:
        return instant(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' is no time. {error}.") from error


def _invalid(sentence: str) -> CommandError:
    return CommandError(sentence, returncode=EXIT_INVALID)
