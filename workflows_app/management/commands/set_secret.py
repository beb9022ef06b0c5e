"""`set_secret NAME`: keep a secret, read from standard input or asked for."""

import sys
from getpass import getpass
from typing import Any, override

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError, CommandParser

from workflows_app.management.base import EXIT_INVALID, WorkflowCommand
from workflows_app.services.errors import DefinitionError
from workflows_app.services.secrets import NewSecret, set_secret


class Command(WorkflowCommand):
    help = (
        "Keep a secret, or replace the one of that name. Its value is read from standard input, without the line break "
        "at its end, or asked for on a terminal; there is no argument for it, which others could see."
    )

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        _ = parser.add_argument("name", metavar="NAME", help="as in ${{ secrets.NAME }}")
        _ = parser.add_argument("--owner", metavar="USER", help="whose workflows use it; default: the first superuser")
        _ = parser.add_argument("--description", help="what it is for; default: as it is")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        owner = self._owner(options["owner"])
        new = NewSecret(name=options["name"], value=_read(), description=options["description"])
        try:
            _ = set_secret(new, owner)
        except DefinitionError as error:
            raise CommandError(str(error), returncode=EXIT_INVALID) from error
        self.stdout.write(f"{owner.get_username()} has the secret '{new.name}' now: ${{{{ secrets.{new.name} }}}}")

    def _owner(self, username: str | None) -> Any:
        users: Any = get_user_model()
        chosen = {"is_superuser": True} if username is None else {users.USERNAME_FIELD: username}
        found = users.objects.filter(**chosen).order_by("pk").first()
        if found is None:
            raise CommandError(
                "There is no superuser: name an owner by --owner."
                if username is None
                else f"There is no user '{username}': create it first, or name another owner.",
                returncode=EXIT_INVALID,
            )
        return found


def _read() -> str:
    if not sys.stdin.isatty():
        try:
            text = sys.stdin.read()
        except UnicodeDecodeError as error:
            raise CommandError("The value is no UTF-8 text: encode it, as base64 say.") from error
        return text.removesuffix("\n").removesuffix("\r")
    value = getpass("Value: ")
    if getpass("Again: ") != value:
        raise CommandError("The two are different: nothing was done.", returncode=EXIT_INVALID)
    return value
