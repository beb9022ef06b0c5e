"""Processes that keep secrets, and that rotate them and die in the middle."""

import os
import signal

from django.conf import settings
from django.contrib.auth import get_user_model

from tests.crash.processes import enter
from workflows_app.services import rotation
from workflows_app.services.secrets import NewSecret, create_secret


def keep(place, output, keys, values):
    enter(place, output, "")
    settings.PASTETRADER["CREDENTIAL_KEYS"] = keys
    owner = get_user_model().objects.get(username="admin")
    for name, value in values.items():
        create_secret(NewSecret(name=name, value=value), owner)


def rotate(place, output, keys, death):
    """Rotate in batches of five. `inside:3`: be killed before the third is committed; `after:3`: right after."""
    enter(place, output, "")
    settings.PASTETRADER["CREDENTIAL_KEYS"] = keys
    moment, _, number = death.partition(":")
    write, batches = rotation._write, []

    def strike(sealed):
        batches.append(sealed)
        dies = number == str(len(batches))
        with rotation.transaction.atomic():
            written = write(sealed)
            if dies and moment == "inside":
                os.kill(os.getpid(), signal.SIGKILL)
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)
        return written

    rotation._write = strike
    os.write(1, str(rotation.rotate(batch=5).rotated).encode())
