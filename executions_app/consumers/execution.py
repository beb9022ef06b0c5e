"""`/ws/executions/ID/`: one execution, live."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Hashable, Mapping
from contextlib import suppress
from contextvars import Context
from typing import TYPE_CHECKING, Any, cast, override
from urllib.parse import parse_qs

from executions_app.consumers.socket import HEARTBEAT_SECONDS, Close, InvalidMessage, Socket
from executions_app.consumers.viewer import ObjectGone, TooSlow, Viewer
from executions_app.services.cancel import cancel
from executions_app.services.errors import ExecutionNotFound, RunError
from executions_app.watching import watched_by
from workflows_app.models.token import Scope
from workflows_app.services.errors import DefinitionError

if TYPE_CHECKING:
    from executions_app.consumers.feed import Feed

logger = logging.getLogger(__name__)

_MOST = 2**31


class ExecutionConsumer(Socket):
    """A snapshot, or what was missed after `?after=`; then every entry of the journal, and the end."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._execution_id: uuid.UUID | None = None
        self._viewer = Viewer(self._send_text, HEARTBEAT_SECONDS)
        self._feed: Feed | None = None
        self._sending: asyncio.Task[None] | None = None

    @property
    @override
    def subject(self) -> Hashable:
        return self._execution_id

    @override
    def objection(self) -> int | None:
        code = super().objection()
        if code is not None:
            return code
        try:
            found = watched_by(self.user, cast(Any, self.scope)["url_route"]["kwargs"]["execution"])
        except ExecutionNotFound:
            # Whoever was let in knows that it exists.
            return Close.NOT_FOUND if self._execution_id is None else Close.NOT_ALLOWED
        self._execution_id = found
        return None

    @override
    async def begin(self) -> None:
        assert self._execution_id is not None
        self._feed = await self.hub.follow(self._execution_id, self._viewer)
        try:
            self._viewer.begin_after(self._wanted())
        except InvalidMessage as error:
            await self.tell("error", code=error.code, message=str(error))
            self._viewer.begin_after(None)
        loop = asyncio.get_running_loop()
        self._sending = loop.create_task(self._serve(self._feed), name="socket of an execution", context=Context())

    @override
    async def act(self, received: Mapping[str, Any]) -> None:
        match received.get("type"):
            case "resume":
                self._viewer.begin_after(_number(received.get("after")))
            case "cancel":
                await self._cancel()
            case _:
                await super().act(received)

    @override
    async def finish(self) -> None:
        feed, self._feed = self._feed, None
        if feed is not None:
            await self.hub.unfollow(feed, self._viewer)
        if self._sending is not None:
            _ = self._sending.cancel()
            with suppress(asyncio.CancelledError):
                await self._sending

    async def _serve(self, feed: Feed) -> None:
        try:
            await self._viewer.serve(feed)
            await self.shut(Close.NORMAL)
        except TooSlow:
            await self.shut(Close.TOO_SLOW)
        except ObjectGone:
            await self.shut(Close.NOT_FOUND)
        except Exception:
            logger.exception("A socket of execution %s failed; its client comes back.", feed.execution_id)
            await self.shut(1011)

    async def _cancel(self) -> None:
        execution_id = self._execution_id
        assert execution_id is not None
        if Scope.RUN not in self.credential.bearer.scopes:
            sentence = "Your token may not cancel executions: it has no scope 'run'."
            await self.tell("error", code="insufficient_scope", message=sentence)
            return
        try:
            _ = await self.ask(lambda: cancel(execution_id, self.user))
        except (RunError, DefinitionError) as error:
            await self.tell("error", code=error.code, message=str(error))

    def _wanted(self) -> int | None:
        """`?after=` of the address."""
        query = parse_qs(bytes(self.scope.get("query_string", b"")).decode("latin-1"))
        if "after" not in query:
            return None
        text = query["after"][0]
        return _number(int(text) if text.isascii() and text.isdigit() and len(text) < len(str(_MOST)) else text)

    async def _send_text(self, text: str) -> None:
        if not self._is_closed:
            await self.send(text_data=text)


def _number(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST:
        return value
    raise InvalidMessage("'after' is the seq of the last event that you have: an integer, 0 for none.")
