"""`run_worker`: a process that only runs executions."""

import asyncio
from typing import Any, override

from django.core.management.base import CommandParser

from executions_app.services.run import close
from executions_app.services.work import work
from workflows_app.management.base import WorkflowCommand


class Command(WorkflowCommand):
    help = "Run executions that wait, and those whose engine died, until SIGTERM or Ctrl-C."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        _ = parser.add_argument("--concurrency", type=int, default=10, metavar="N", help="runs at a time (default 10)")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        self.stderr.write(f"Running executions, {options['concurrency']} at a time. Stop with Ctrl-C.")
        try:
            asyncio.run(work(options["concurrency"]))
        finally:
            close()
