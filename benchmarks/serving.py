"""A site in a process of its own, daphne on one core, and clients on another, over connections that stay open."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from benchmarks.product import ROOT

HOST = "127.0.0.1"
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """`prepare` is a program that makes the database ready and prints a token."""

    settings: str
    application: str
    prepare: str


class Request(NamedTuple):
    method: str
    path: str
    body: str | None = None


class Sample(NamedTuple):
    """Seconds of each request, and of all of them together."""

    each: list[float]
    all: float


class Served:
    """A site that answers, at a port and with a token of its own."""

    def __init__(self, port: int, token: str) -> None:
        self.port = port
        self.authorization = f"Bearer {token}"
        self._headers = {"Authorization": self.authorization, "Content-Type": "application/json"}

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """What one request is answered, of which nothing is measured."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=PATIENCE_SECONDS)
        try:
            return json.loads(self._send(connection, Request(method, path, None if body is None else json.dumps(body))))
        finally:
            connection.close()

    def measure(self, request: Request, connections: int, count: int) -> Sample:
        """The same request so many times, over so many connections at once."""
        with ThreadPoolExecutor(connections) as pool:
            begun = time.perf_counter()
            parts = list(pool.map(lambda _: self._repeat(request, count // connections), range(connections)))
            took = time.perf_counter() - begun
        return Sample([seconds for part in parts for seconds in part], took)

    def _repeat(self, request: Request, count: int) -> list[float]:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=PATIENCE_SECONDS)
        samples: list[float] = []
        try:
            connection.connect()
            for _ in range(count):
                begun = time.perf_counter()
                _ = self._send(connection, request)
                samples.append(time.perf_counter() - begun)
        finally:
            connection.close()
        return samples

    def _send(self, connection: http.client.HTTPConnection, request: Request) -> bytes:
        connection.request(request.method, request.path, request.body, self._headers)
        response = connection.getresponse()
        content = response.read()
        if response.status >= 300:
            raise RuntimeError(f"{request.method} {request.path} was answered {response.status}: {content[:500]!r}")
        return content


@contextmanager
def served(site: Site, database_url: str, **environment_too: str) -> Iterator[Served]:
    """The site on a new database, from its first answer on."""
    own = {"DATABASE_URL": database_url, "DJANGO_SETTINGS_MODULE": site.settings, "DEBUG": "false", **environment_too}
    environment = os.environ | own
    token = subprocess.run(
        [sys.executable, "-c", site.prepare], check=True, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ).stdout.strip()
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "daphne", "-v", "0", "-b", HOST, "-p", str(port), site.application]
    with _on_core(0):
        process = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        _wait_for(process, port)
        with _on_core(1):
            yield Served(port, token)
    finally:
        process.terminate()
        _ = process.wait(PATIENCE_SECONDS)


@contextmanager
def _on_core(number: int) -> Iterator[None]:
    """What is started inside has one core for itself, where there are several and the system can say so."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(allowed)[number % len(allowed)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while process.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("The server did not come up: its own words are above.")
