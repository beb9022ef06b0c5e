"""`import_workflow FILE...`: documents into the database."""

from typing import Any, override

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from workflows_app.management.base import EXIT_INVALID, WorkflowCommand
from workflows_app.management.documents import read_file, refuse
from workflows_app.services.documents import save
from workflows_app.services.errors import InvalidDefinition


class Command(WorkflowCommand):
    help = (
        "Import workflow documents (YAML or JSON). The same name and owner is replaced by a new version; identical "
        "content changes nothing. With several files, all are imported or none."
    )

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        _ = parser.add_argument("files", nargs="+", metavar="FILE")
        _ = parser.add_argument(
            "--owner",
            metavar="USER",
            help="the owner; default: the first superuser, made without a password where there is none",
        )

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        imported: list[str] = []
        with transaction.atomic():
            owner = self._owner(options["owner"])
            for file in options["files"]:
                try:
                    workflow, saved = save(read_file(file), owner)
                except InvalidDefinition as error:
                    transaction.set_rollback(True)
                    refuse(error, self.stderr, file)
                imported.append(f"{workflow.name}: {saved}, version {workflow.version}")
        self.stdout.write("\n".join(imported))

    def _owner(self, username: str | None) -> Any:
        users: Any = get_user_model()
        if username is not None:
            found = users.objects.filter(**{users.USERNAME_FIELD: username}).first()
            if found is None:
                raise CommandError(
                    f"There is no user '{username}': create it first, or name another owner.",
                    returncode=EXIT_INVALID,
                )
            return found
        first = users.objects.filter(is_superuser=True).order_by("pk").first()
        if first is not None:
            return first
        self.stderr.write("There is no superuser: made 'admin', without a password.")
        return users.objects.create_superuser("admin", password=None)
