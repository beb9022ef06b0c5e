"""The site with a channel layer that loses most messages, and says how many: for what must heal."""
# pyright: reportConstantRedefinition=false

import os
from pathlib import Path

from channels.layers import InMemoryChannelLayer

from pastetrader.settings import *  # noqa: F403


class LossyLayer(InMemoryChannelLayer):
    """Of three messages to a group it keeps one."""

    sent = 0

    async def group_send(self, group, message):
        LossyLayer.sent += 1
        if LossyLayer.sent % 3 == 0:
            await super().group_send(group, message)
        else:
            _note(message["type"])


def _note(kind):
    with Path(os.environ["LOST"]).open("a") as file:
        _ = file.write(f"{kind}\n")


CHANNEL_LAYERS = {"default": {"BACKEND": "tests.acceptance.lossy_site.LossyLayer"}}
