"""Waiting for what other processes do, without fixed sleeps."""

import time


def eventually(condition, *, seconds=20.0):
    """The first true value of `condition()`; fails where there is none in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{condition} was not true within {seconds} s")
