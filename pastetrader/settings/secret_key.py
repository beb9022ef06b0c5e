"""The keys of an installation that was given none: made once, kept in files that only their owner reads."""

import base64
import os
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path


def new_secret_key() -> str:
    return secrets.token_urlsafe(50)


def new_credential_key() -> str:
    """As Fernet wants it."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def read_or_generate(path: Path, generate: Callable[[], str] = new_secret_key) -> str:
    """The key in `path`; where the file does not exist, a new one is written there first.

    Processes that start at the same time agree: the file appears whole, and only once. Raises `OSError` where
    the folder cannot be written.
    """
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    # mkstemp makes the file with mode 0600; a hard link, unlike a rename, does not replace what is there already.
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            _ = file.write(generate())
        os.link(draft, path)
    except FileExistsError:
        # Another process was first: its key is the key.
        pass
    finally:
        Path(draft).unlink()
    return path.read_text(encoding="ascii")
