"""`run_worker`: a process that only runs executions."""

import argparse
import asyncio
from typing import Any, override

from django.core.management.base import CommandParser

from executions_app.services.run import close
from executions_app.services.work import default_concurrency, work
from workflows_app.management.base import WorkflowCommand


class Command(WorkflowCommand):
    help = "Run executions that wait, and those whose engine died, until SIGTERM or Ctrl-C."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        _ = parser.add_argument(
            "--concurrency", type=_positive, metavar="N", help=f"runs at a time (default {default_concurrency()})"
        )

        _ = parser.add_argument(
            "--queue",
            action="append",
            default=[],
            dest="queues",
            metavar="NAME",
            help="a queue to serve, may be repeated (default: PASTETRADER['QUEUES'], else all)",
        )

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        concurrency = options["concurrency"] or default_concurrency()
        self.stderr.write(f"Running executions, {concurrency} at a time. Stop with Ctrl-C.")
        try:
            asyncio.run(work(concurrency, options["queues"]))
        finally:
            close()


def _positive(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of runs: give 1 or more.")
    return number
