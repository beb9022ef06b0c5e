"""`audit_verify`: is the audit as it was written?"""

from typing import Any, override

from django.core.management.base import CommandError, CommandParser

from workflows_app.management.base import WorkflowCommand
from workflows_app.services.audit import verify

EXIT_BROKEN = 1


class Command(WorkflowCommand):
    help = (
        "Follow the seals of all audit entries: one that was changed, put in between or taken out breaks the chain. "
        "Keep the last seal elsewhere and ask for it the next time: entries taken from the end break nothing else. "
        "Exit code 1 where something is wrong."
    )

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        _ = parser.add_argument("--contains", metavar="SEAL", help="a seal that must be there")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        found = verify(options["contains"])
        if found.broken is not None:
            entry = found.broken
            raise CommandError(
                f"Entry {entry.pk} ({entry}, {entry.at:%Y-%m-%d %H:%M:%S}) is not what was written there, or the one "
                "before it is missing. If SECRET_KEY has changed, name the old one in SECRET_KEY_FALLBACKS.",
                returncode=EXIT_BROKEN,
            )
        if not found.has_seal:
            raise CommandError(
                f"No entry has the seal {options['contains']}: those up to it were taken away.", returncode=EXIT_BROKEN
            )
        older = f", {found.unsealed} of them older than seals" if found.unsealed else ""
        self.stdout.write(f"{found.entries} entries{older}; the chain is whole. Last seal: {found.last_seal or 'none'}")
