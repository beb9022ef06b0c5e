"""The server of a user, as a process: daphne on a free port of this machine."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.eventually import eventually

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Server:
    url: str
    process: subprocess.Popen[str]
    log: Path

    @property
    def api(self) -> str:
        return f"{self.url}/api/v1"


@contextlib.contextmanager
def serving(
    folder: Path,
    environment: Mapping[str, str] = os.environ,
    application: str = "pastetrader.asgi:application",
    port: int = 0,
    *,
    ending: signal.Signals = signal.SIGTERM,
) -> Iterator[Server]:
    """Start it, wait until it answers, and end it; what it says goes to a file in `folder`.

    By default it ends in order, and waits for what runs; SIGKILL is for tests that are through with it.
    """
    log = folder / "daphne.log"
    with socket.create_server(("127.0.0.1", port)) as listening, log.open("w") as output:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        descriptor = listening.fileno()
        process = subprocess.Popen(
            [sys.executable, "-m", "daphne", "--fd", str(descriptor), "--access-log", os.devnull, application],
            env=dict(environment),
            cwd=ROOT,
            pass_fds=[descriptor],
            stderr=output,
            stdout=output,
            text=True,
        )
    try:
        _ = eventually(lambda: _answers(url) or process.poll() is not None, seconds=40)
        assert process.poll() is None, log.read_text()
        yield Server(url, process, log)
    finally:
        process.send_signal(ending)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/livez", timeout=5):  # noqa: S310
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
