"""`export_workflow NAME`: a workflow as the document that was imported."""

from typing import Any, override

from django.core.management.base import CommandError, CommandParser

from workflows_app.management.base import EXIT_INVALID, WorkflowCommand
from workflows_app.services.documents import Format, export
from workflows_app.services.errors import DefinitionError
from workflows_app.services.lookup import find


class Command(WorkflowCommand):
    help = "Print a workflow as a document, YAML or JSON."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        _ = parser.add_argument("name", metavar="NAME", help="a name, OWNER/NAME or an id")
        _ = parser.add_argument("--format", choices=[str(form) for form in Format], default="yaml")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        try:
            workflow = find(options["name"])
        except DefinitionError as error:
            raise CommandError(str(error), returncode=EXIT_INVALID) from error
        self.stdout.write(export(workflow, Format(options["format"])), ending="")
