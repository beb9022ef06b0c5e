"""`rotate_secrets`: encrypt every secret under the first key of CREDENTIAL_KEYS."""

from typing import Any, override

from django.core.management.base import CommandError, CommandParser

from workflows_app.management.base import EXIT_INVALID, WorkflowCommand
from workflows_app.services.errors import NoCredentialKeys
from workflows_app.services.rotation import rotate


class Command(WorkflowCommand):
    help = (
        "Encrypt every secret anew under the first key of CREDENTIAL_KEYS. Afterwards the other keys can be removed. "
        "It may be interrupted and begun again at any time, while everything else goes on."
    )

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        _ = parser.add_argument("--dry-run", action="store_true", help="say what would be done, and change nothing")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        try:
            done = rotate(dry_run=options["dry_run"])
        except NoCredentialKeys as error:
            raise CommandError(str(error), returncode=EXIT_INVALID) from error
        said = "would be" if options["dry_run"] else "were"
        self.stdout.write(f"{done.rotated} secrets {said} encrypted anew, under the key {done.key_id}.")
        for name, reason in done.unreadable:
            self.stderr.write(f"{name}: {reason}")
        if done.unreadable:
            raise CommandError(f"{len(done.unreadable)} secrets cannot be read: keep the earlier keys.")
