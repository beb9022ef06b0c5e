"""`cancel_execution ID`: ask for the end of a run, whichever process it runs in."""

from typing import Any, override

from django.core.management.base import CommandError, CommandParser

from executions_app.queries import execution_by_id
from executions_app.services.cancel import cancel
from executions_app.services.errors import RunError
from workflows_app.management.base import EXIT_INVALID, WorkflowCommand


class Command(WorkflowCommand):
    help = "Cancel an execution: a pending one at once, a running one as soon as its nodes have stopped."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        _ = parser.add_argument("id", metavar="ID")
        _ = parser.add_argument("--reason", default="", metavar="TEXT", help="for the journal")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        try:
            execution = cancel(execution_by_id(options["id"]).id, why=options["reason"])
        except RunError as error:
            raise CommandError(str(error), returncode=EXIT_INVALID) from error
        if execution.is_finished:
            self.stdout.write(f"Execution {execution.id} is {execution.status}.")
        else:
            self.stdout.write(f"Execution {execution.id} was asked to end; it is still {execution.status}.")
