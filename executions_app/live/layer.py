"""Whether messages get through."""

import asyncio

from channels.layers import get_channel_layer

ANSWER_SECONDS = 2.0


async def layer_answers() -> bool:
    """Send a message to ourselves and wait for it."""
    layer = get_channel_layer()
    if layer is None:
        return False
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            channel = await layer.new_channel()
            await layer.send(channel, {"type": "probe"})
            return (await layer.receive(channel))["type"] == "probe"
    except Exception:  # noqa: BLE001 - each layer has errors of its own
        return False
