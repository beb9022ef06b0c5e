"""`list_executions`: the latest executions."""

from argparse import ArgumentTypeError
from typing import Any, override

from django.core.management.base import CommandParser

from executions_app.queries import execution_json, latest_executions
from workflows_app.dag import jsontext
from workflows_app.management.base import WorkflowCommand

# As many as a page of the API has.
MOST = 200


class Command(WorkflowCommand):
    help = "List the latest executions, newest first."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        _ = parser.add_argument("--json", action="store_true", help="in the shape of the API's lists")
        _ = parser.add_argument("--limit", type=_limit, default=50, metavar="N", help="at most so many, up to 200")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        executions = [execution_json(execution, with_nodes=False) for execution in latest_executions(options["limit"])]
        if options["json"]:
            self.stdout.write(jsontext.pretty({"items": executions, "next": None}))
            return
        for shown in executions:
            took = "" if shown["duration_ms"] is None else f"{shown['duration_ms']} ms"
            self.stdout.write(
                f"{shown['id']}  {shown['created_at']:%Y-%m-%d %H:%M:%S}  {shown['status']:<9}  "
                f"{took:>14}  {shown['workflow']['name']}"
            )


def _limit(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= MOST:
        return int(text)
    raise ArgumentTypeError(f"'{text}' is no number from 1 to {MOST}.")
