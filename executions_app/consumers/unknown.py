"""Every other address: the client is told, and the server's log has no traceback."""

from typing import override

from channels.generic.websocket import AsyncWebsocketConsumer

from executions_app.consumers.socket import Close


class UnknownAddress(AsyncWebsocketConsumer):
    """Accepts, and closes with the code that says that there is nothing."""

    channel_layer_alias = ""

    @override
    async def connect(self) -> None:
        await self.accept()
        await self.close(code=int(Close.NOT_FOUND))
