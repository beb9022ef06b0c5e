"""`recover_executions [ID ...]`: go on with runs whose engine is gone, here and now."""

import asyncio
import sys
import uuid
from typing import Any, override

from django.core.management.base import CommandError, CommandParser

from executions_app.queries import execution_by_id
from executions_app.services.errors import RunError
from executions_app.services.recover import recover, recoverable
from executions_app.services.run import close
from workflows_app.management.base import EXIT_INVALID, WorkflowCommand


class Command(WorkflowCommand):
    help = "Run executions to their end whose engine is gone. Workers and servers do so by themselves."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        _ = parser.add_argument("id", nargs="*", metavar="ID", help="one of these; without any, all there are")
        _ = parser.add_argument(
            "--queue",
            action="append",
            default=[],
            dest="queues",
            metavar="NAME",
            help="a queue whose nodes are run here too, may be repeated (default: PASTETRADER['QUEUES'], else all)",
        )
        _ = parser.add_argument("--dry-run", action="store_true", help="say which they are, and leave them")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        try:
            ids = [execution_by_id(text).id for text in options["id"]]
        except RunError as error:
            raise CommandError(str(error), returncode=EXIT_INVALID) from error
        found, others = recoverable(ids)
        for other in others:
            self.stderr.write(str(other))
        if others and not found:
            sys.exit(EXIT_INVALID)
        try:
            if not options["dry_run"]:
                asyncio.run(recover(found, options["queues"]))
        finally:
            close()
        for seen in found:
            self.stdout.write(f"{seen.execution_id} {self._now(seen.execution_id, options)}")
        self.stderr.write(f"{len(found)} executions had lost their engine.")

    def _now(self, execution_id: uuid.UUID, options: dict[str, Any]) -> str:
        return "abandoned" if options["dry_run"] else execution_by_id(str(execution_id)).status
