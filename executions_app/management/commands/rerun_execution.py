"""`rerun_execution ID`: run an execution again, here, and wait for its end."""

from typing import Any, override

from django.core.management.base import CommandError, CommandParser

from executions_app.management.running import EXIT_CODES_HELP, RunCommand
from executions_app.models import WorkflowExecution
from executions_app.queries import execution_by_id
from executions_app.services.errors import RunError
from executions_app.services.rerun import From, rerun
from workflows_app.management.base import EXIT_INVALID


class Command(RunCommand):
    help = f"Run an execution again, as a new one of the same snapshot, and wait for its end. {EXIT_CODES_HELP}"

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        _ = parser.add_argument("id", metavar="ID")
        _ = parser.add_argument(
            "--from",
            choices=[str(one) for one in From],
            default=str(From.START),
            dest="begin",
            help="start: every node; failed: keep what ended well before anything failed",
        )
        super().add_arguments(parser)

    @override
    def accept(self, options: dict[str, Any]) -> WorkflowExecution:
        try:
            before = execution_by_id(options["id"])
            return rerun(before.id, begin=From(options["begin"]), reserved=not options["no_wait"])
        except RunError as error:
            raise CommandError(str(error), returncode=EXIT_INVALID) from error
