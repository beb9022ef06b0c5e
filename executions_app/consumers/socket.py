"""What both sockets share: who opens them, what they may send, how they are closed."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from enum import IntEnum
from typing import TYPE_CHECKING, Any, override

from channels.generic.websocket import AsyncWebsocketConsumer

from executions_app.conf import execution_settings
from executions_app.consumers.backpressure import MESSAGE_BYTES
from executions_app.consumers.credentials import Credential, address_of, credential_of
from executions_app.consumers.hub import Hub
from executions_app.live.wire import message
from workflows_app.dag import jsontext
from workflows_app.models.token import Scope
from workflows_app.services.audit import acting_from

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from django.contrib.auth.models import User

HEARTBEAT_SECONDS = 20
# A client sends small objects, a few at a time.
BURST = 40
MESSAGES_PER_SECOND = 10.0


class Close(IntEnum):
    NORMAL = 1000
    TOO_LARGE = 1009
    NOT_AUTHENTICATED = 4401
    NOT_ALLOWED = 4403
    NOT_FOUND = 4404
    TOO_SLOW = 4408
    TOO_MANY = 4429


class InvalidMessage(ValueError):
    """Raised for a message that a client may not send; the sentence goes back to it."""

    code = "invalid_message"


class Socket(AsyncWebsocketConsumer):
    """Accepts first and closes with a code then: what is refused before it is accepted reaches browsers as 1006."""

    # The hub listens for all sockets; one that listened by itself would end where the layer is away.
    channel_layer_alias = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._credential: Credential | None = None
        self._is_closed = False
        self._allowance = float(BURST)
        self._counted_at = 0.0
        self.hub = Hub.of_running_loop()

    @property
    def credential(self) -> Credential:
        assert self._credential is not None
        return self._credential

    @property
    def user(self) -> User:
        return self.credential.bearer.user

    @property
    def claim(self) -> Hashable:
        """Sockets with an equal claim may watch for the same reason."""
        bearer = self.credential.bearer
        return self.credential.session_key, bearer.token_id, bearer.user.pk, self.subject

    @property
    def subject(self) -> Hashable:
        """What it watches."""
        return None

    def objection(self) -> int | None:
        """With which code it must be closed now, None where it may stay. Asks the database."""
        if not self.credential.holds():
            return Close.NOT_AUTHENTICATED
        return None if Scope.READ in self.credential.bearer.scopes else Close.NOT_ALLOWED

    async def begin(self) -> None:
        """It is open and its user may be here."""

    async def act(self, received: Mapping[str, Any]) -> None:
        """Do what a client asks for. Raises `InvalidMessage`."""
        if received.get("type") == "ping":
            await self.tell("pong")
            return
        raise InvalidMessage(f"There is no message of type {jsontext.dumps(received.get('type'))} here.")

    async def finish(self) -> None:
        """It is closed. Called once, also where it never began."""

    @override
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            # Also after an error of ours, or where the server ends it.
            self._is_closed = True
            await self.finish()
            self.hub.leave(self)

    @override
    async def connect(self) -> None:
        await self.accept()
        self._credential = await self.ask(lambda: credential_of(self.scope))
        code = Close.NOT_AUTHENTICATED if self._credential is None else await self.ask(self.objection)
        if code is None and self.hub.sockets_of(self.user.pk) >= execution_settings().sockets_per_user:
            code = Close.TOO_MANY
        if code is not None:
            await self.shut(code)
            return
        self.hub.enter(self)
        await self.tell("hello", heartbeat_s=HEARTBEAT_SECONDS)
        await self.begin()

    @override
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self._is_closed:
            return
        if len(text_data or bytes_data or "") > MESSAGE_BYTES:
            await self.shut(Close.TOO_LARGE)
        elif not self._may_send():
            await self.shut(Close.TOO_MANY)
        else:
            try:
                await self.act(_received(text_data))
            except (InvalidMessage, jsontext.JsonError) as error:
                await self.tell("error", code=InvalidMessage.code, message=str(error))

    async def shut(self, code: int) -> None:
        """Close it, once."""
        if not self._is_closed:
            self._is_closed = True
            await self.close(code=int(code))

    async def tell(self, kind: str, **fields: Any) -> None:
        await self.send(text_data=message(kind, **fields))

    async def ask[T](self, function: Callable[[], T]) -> T:
        """What a function finds out or does in the database, in the name of whoever is at the other end."""
        address = address_of(self.scope)

        def asked() -> T:
            with acting_from(address):
                return function()

        return await self.hub.read(asked)

    def _may_send(self) -> bool:
        now = asyncio.get_running_loop().time()
        self._allowance = min(BURST, self._allowance + (now - self._counted_at) * MESSAGES_PER_SECOND)
        self._counted_at = now
        self._allowance -= 1
        return self._allowance >= 0


def _received(text: str | None) -> Mapping[str, Any]:
    """Raises `InvalidMessage` and `JsonError`."""
    received = None if text is None else jsontext.loads(text)
    if not isinstance(received, dict):
        raise InvalidMessage("A message is text: a JSON object with a type.")
    return received
