"""The engine of this process by name, and whether the one of another name is alive.

A name says host, boot and process. On the same host and boot a lock file proves a death at once: the system lets go
of the lock of a process that is gone, however it went. Where there is no such file nothing is known, and the lease
decides.
"""

import atexit
import fcntl
import hashlib
import os
import secrets
import socket
import tempfile
from functools import lru_cache
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def engine_name() -> str:
    """The name of this process's engine; from the first call on its lock file is held."""
    return _present(os.getpid())


def is_known_dead(name: str) -> bool:
    """Whether an engine is certainly gone. False where it lives, and where nobody can tell."""
    host, _, rest = name.partition("/")
    if host != _host() or not rest.startswith(f"{_boot()}/") or name == engine_name():
        return False
    path = _lock_path(name)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)


# A process that was forked is an engine of its own.
@lru_cache(maxsize=1)
def _present(process: int) -> str:
    name = f"{_host()}/{_boot()}/{process}-{secrets.token_hex(3)}"
    # Held until the process ends: the descriptor is never closed.
    path = _lock_path(name)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    _ = atexit.register(_leave, process, path)
    return name


def _leave(process: int, path: Path) -> None:
    """A process that ends in order has given its runs back, and leaves no file."""
    if os.getpid() == process:
        path.unlink(missing_ok=True)


def _host() -> str:
    return socket.gethostname().replace("/", "_")[:80] or "localhost"


@lru_cache(maxsize=1)
def _boot() -> str:
    return _BOOT_ID.read_text().strip()[:8] if _BOOT_ID.is_file() else "unknown"


def _lock_path(name: str) -> Path:
    folder = Path(tempfile.gettempdir()) / f"pastetrader-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to somebody else: remove it, or set TMPDIR to a folder of your own.")
    return folder / f"engine-{hashlib.sha256(name.encode()).hexdigest()[:24]}.lock"
