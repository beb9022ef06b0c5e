"""Secrets are rotated by a process that is killed: nothing is lost, and another one finishes."""

import base64
import hashlib
import json
import os
import signal

import pytest
from cryptography.fernet import Fernet

from tests.crash import rotating

FIRST, SECOND = (base64.urlsafe_b64encode(os.urandom(32)).decode() for _ in range(2))
VALUES = {f"secret_{number}": f"value-of-no-{number}" for number in range(22)}


def values_by(world, keys):
    """What can be read with these keys alone, beside the product."""
    ring = {}
    for key in keys:
        fingerprint = hashlib.sha256(b"pastetrader.credential:" + base64.urlsafe_b64decode(key)).hexdigest()[:16]
        ring[fingerprint] = Fernet(key)
    rows = world.rows("SELECT name, key_id, ciphertext FROM workflows_app_credential")
    return {name: json.loads(ring[key].decrypt(text))["value"] for name, key, text in rows if key in ring}


@pytest.mark.parametrize("death", ["inside:1", "after:3", "inside:5"])
def test_a_rotation_that_is_killed_loses_nothing_and_another_one_finishes(world, figure, death):
    world.fork(rotating.keep, FIRST, VALUES).join(60)
    assert values_by(world, [FIRST]) == VALUES
    killed = world.fork(rotating.rotate, f"{SECOND},{FIRST}", death)
    killed.join(60)
    assert killed.exitcode == -signal.SIGKILL
    moment, number = death.split(":")
    done = min(len(VALUES), 5 * (int(number) - (moment == "inside")))
    assert len(values_by(world, [SECOND])) == done
    assert values_by(world, [FIRST, SECOND]) == VALUES
    finishing = world.fork(rotating.rotate, f"{SECOND},{FIRST}", "")
    finishing.join(60)
    assert (finishing.exitcode, world.output(finishing)) == (0, str(len(VALUES) - done))
    assert values_by(world, [SECOND]) == VALUES
    figure("rotations killed and finished, nothing lost:", counted_of=3)
