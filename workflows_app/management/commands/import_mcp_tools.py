"""`import_mcp_tools SERVER`: tools of an MCP server as tools of the site."""

from typing import Any, override

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError, CommandParser

from workflows_app.dag.types import Effect
from workflows_app.management.base import EXIT_INVALID, WorkflowCommand
from workflows_app.services.errors import DefinitionError
from workflows_app.services.mcp_tools import Found, State, Wish, import_tools, look

_EFFECTS = (Effect.AT_MOST_ONCE, Effect.IDEMPOTENT, Effect.NONE)


class Command(WorkflowCommand):
    help = (
        "Make tools of the site of the tools that an MCP server of PASTETRADER['MCP_SERVERS'] has, or bring them up to "
        "date. Those that the server has no more are switched off. What the server says of its tools is shown, and "
        "decides nothing: their effect is at_most_once unless you say more."
    )

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        _ = parser.add_argument("server", metavar="SERVER", help="its name in the settings")
        _ = parser.add_argument(
            "--tool", action="append", metavar="NAME", help="one of its tools, again for more; default: all of them"
        )
        _ = parser.add_argument("--prefix", default="", help="what the names begin with; default: the server's")
        _ = parser.add_argument("--effect", choices=list(map(str, _EFFECTS)), help="what a repetition would do outside")
        _ = parser.add_argument("--owner", metavar="USER", help="whose secret the token is; default: who has one")
        _ = parser.add_argument("--dry-run", action="store_true", help="tell what would be done, and do nothing")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        wish = Wish(server=options["server"], tools=options["tool"], prefix=options["prefix"], effect=options["effect"])
        work = look if options["dry_run"] else import_tools
        try:
            done = work(wish, None, secrets_of=self._owner(options["owner"]))
        except DefinitionError as error:
            raise CommandError(str(error), returncode=EXIT_INVALID) from error
        self.stdout.write("\n".join(map(_line, done)) or "The server has no tools.")
        if any(one.state is State.REFUSED for one in done):
            raise CommandError("Not all of them could be imported.", returncode=EXIT_INVALID)

    def _owner(self, username: str | None) -> Any:
        if username is None:
            return None
        users: Any = get_user_model()
        found = users.objects.filter(**{users.USERNAME_FIELD: username}).first()
        if found is None:
            raise CommandError(f"There is no user '{username}': create it first.", returncode=EXIT_INVALID)
        return found


def _line(one: Found) -> str:
    said = f" (the server says: {', '.join(one.hints)})" if one.hints else ""
    sentence = f" {one.sentence}" if one.sentence else ""
    return f"{one.state}: {one.name or one.tool}{said}{sentence}"
