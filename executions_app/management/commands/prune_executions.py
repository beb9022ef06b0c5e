"""`prune_executions --older-than 30d`: delete old executions with their records."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, override

from django.core.management.base import CommandError, CommandParser

from executions_app.services.prune import prunable, prune
from workflows_app.management.base import EXIT_INVALID, WorkflowCommand

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class Command(WorkflowCommand):
    help = "Delete executions that ended long ago, with their nodes, attempts and journals. Open ones always stay."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        _ = parser.add_argument("--older-than", required=True, metavar="AGE", help="such as 30d, 12h or 90m")
        _ = parser.add_argument("--keep-failed", action="store_true", help="leave the failed ones")
        _ = parser.add_argument("--dry-run", action="store_true", help="say how many there are, and delete none")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        before = datetime.now(UTC) - _age(options["older_than"])
        keep_failed = options["keep_failed"]
        if options["dry_run"]:
            self.stdout.write(f"{prunable(before, keep_failed=keep_failed)} executions would be deleted.")
            return
        self.stdout.write(f"{sum(prune(before, keep_failed=keep_failed))} executions were deleted.")


def _age(text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,5})([mhd])", text)
    if found is None:
        raise CommandError(f"'{text}' is no age: write 30d, 12h or 90m.", returncode=EXIT_INVALID)
    return timedelta(**{_UNITS[found[2]]: int(found[1])})
