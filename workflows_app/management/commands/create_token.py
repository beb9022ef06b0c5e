"""`create_token USER`: a token for the API."""

from argparse import ArgumentTypeError
from typing import Any, override

from django.core.management.base import CommandError, CommandParser

from workflows_app.management.base import EXIT_INVALID, WorkflowCommand
from workflows_app.models.token import Scope
from workflows_app.services.errors import UnknownUser
from workflows_app.services.tokens import MOST_DAYS, create_token


class Command(WorkflowCommand):
    help = "Print a new API token of a user, alone on stdout. It is shown this once: only its hash is kept."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        _ = parser.add_argument("user", metavar="USER")
        _ = parser.add_argument("--name", default="", help="what it is for")
        _ = parser.add_argument("--days", type=_days, metavar="D", help="days until it expires; default: never")
        _ = parser.add_argument(
            "--scopes",
            nargs="+",
            choices=[str(scope) for scope in Scope],
            default=[str(scope) for scope in Scope],
            help="what it may be used for; default: everything",
        )

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        try:
            text = create_token(
                options["user"],
                name=options["name"],
                days=options["days"],
                scopes=[Scope(scope) for scope in options["scopes"]],
            )
        except UnknownUser as error:
            raise CommandError(str(error), returncode=EXIT_INVALID) from error
        self.stdout.write(text)
        self.stderr.write("Keep it now: it cannot be shown again. Send it as `Authorization: Bearer TOKEN`.")


def _days(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= MOST_DAYS:
        return int(text)
    raise ArgumentTypeError(f"'{text}' is no number of days from 1 to {MOST_DAYS}.")
