"""`mcp_server --user NAME`: workflows as tools of a model, over standard input and output."""

import asyncio
import os
from typing import Any, override

from django.core.management.base import CommandError, CommandParser

from executions_app.mcp.call import Client
from executions_app.services.work import work_in_background
from workflows_app.management.base import EXIT_INVALID, WorkflowCommand
from workflows_app.rest.auth import let_in
from workflows_app.rest.errors import Unauthenticated
from workflows_app.services.errors import UnknownUser
from workflows_app.services.tokens import Bearer, bearer_named

TOKEN = "PASTETRADER_TOKEN"  # noqa: S105 - the name of a variable


class Command(WorkflowCommand):
    help = (
        "Serve the Model Context Protocol over standard input and output, for a client that starts this command. "
        f"It acts for a user: all of --user, or what the token in the environment variable {TOKEN} may."
    )

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        _ = parser.add_argument("--user", metavar="NAME", help=f"act for this user; without it {TOKEN} says who")
        _ = parser.add_argument(
            "--no-engine", action="store_true", help="run nothing here: a server or run_worker runs what is started"
        )

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        client = self._client(options["user"], os.environ.get(TOKEN, ""))
        try:
            from executions_app.mcp.stdio import claimed_output, serve  # noqa: PLC0415 - an extra, and slow to load
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "mcp":
                raise
            sentence = "The protocol's package is missing: install the extra `mcp`, as `uv sync --extra mcp` does."
            raise CommandError(sentence, returncode=EXIT_INVALID) from error
        output = claimed_output()
        if not options["no_engine"]:
            work_in_background()
        try:
            asyncio.run(serve(client, output))
        except ValueError as error:
            sentence = f"Standard input cannot be served: {error}. A client of the protocol starts this command."
            raise CommandError(sentence, returncode=EXIT_INVALID) from error

    def _client(self, user: str | None, token: str) -> Client:
        """Who is acted for, found once to say at once that there is nobody, and again at each call."""
        if bool(user) == bool(token):
            sentence = f"Say for whom it acts: with --user NAME, or with a token in {TOKEN}, and not with both."
            raise CommandError(sentence, returncode=EXIT_INVALID)

        def enter() -> Bearer:
            return bearer_named(user) if user else let_in(token, "")

        try:
            _ = enter()
        except UnknownUser as error:
            raise CommandError(str(error), returncode=EXIT_INVALID) from error
        except Unauthenticated as error:
            sentence = f"The token in {TOKEN} is no good: make one with `create_token`."
            raise CommandError(sentence, returncode=EXIT_INVALID) from error
        return Client(enter=enter)
