"""What all commands share: a database that refuses is one line, not a traceback."""

from typing import Any, override

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

# The request or the definition is invalid or not found, or nothing can be asked at all.
EXIT_INVALID = 2


class WorkflowCommand(BaseCommand):
    """A command whose errors are one line on stderr, unless `--traceback` asks for more."""

    @override
    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except DatabaseError as error:
            if options.get("traceback"):
                raise
            # PostgreSQL shows the statement on further lines.
            reason = str(error).partition("\n")[0]
            missing = "no such table" in reason or "does not exist" in reason
            advice = "Its tables are missing: run `manage.py migrate` first." if missing else "Nothing was done."
            raise CommandError(f"The database refused: {reason}. {advice}", returncode=EXIT_INVALID) from error
