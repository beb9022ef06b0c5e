"""`validate_workflow FILE_OR_NAME`: everything that is wrong with a workflow."""

import sys
from typing import Any, override

from django.core.management.base import CommandError, CommandParser

from workflows_app.dag.problems import Problem, errors_of
from workflows_app.management.base import EXIT_INVALID, WorkflowCommand
from workflows_app.management.documents import is_file, read_file
from workflows_app.services.documents import Source, document_of, problems_of
from workflows_app.services.errors import DefinitionError, InvalidDefinition
from workflows_app.services.lookup import find


class Command(WorkflowCommand):
    help = "Print every problem of a workflow as `CODE where: sentence`. Exit 2 if there is an error."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        _ = parser.add_argument("target", metavar="FILE_OR_NAME")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        problems = self._problems(options["target"])
        for problem in problems:
            self.stdout.write(str(problem))
        errors = len(errors_of(problems))
        self.stderr.write(
            f"{options['target']}: {errors} error{'' if errors == 1 else 's'}, "
            f"{len(problems) - errors} warning{'' if len(problems) - errors == 1 else 's'}"
        )
        if errors:
            sys.exit(EXIT_INVALID)

    def _problems(self, target: str) -> list[Problem]:
        try:
            if is_file(target):
                source = read_file(target)
            else:
                source = Source(document=document_of(find(target)), line_of=lambda _path: None)
        except InvalidDefinition as error:
            return error.problems
        except DefinitionError as error:
            raise CommandError(str(error), returncode=EXIT_INVALID) from error
        return problems_of(source)
