"""A client that watches: a real WebSocket, and what it makes of what it hears."""

import contextlib
import json
import socket
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect


@contextlib.contextmanager
def watching(
    url: str, path: str, *, token: str | None = None, is_slow: bool = False, **headers: str
) -> Iterator[ClientConnection]:
    """A socket at a server's address; without a token and headers it says nothing of itself.

    A slow one takes little in advance.
    """
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if token is not None:
        sent["Authorization"] = f"Bearer {token}"
    address = url.replace("http://", "ws://", 1) + path
    parts = urlsplit(url)
    transport = socket.socket()
    if is_slow:
        # Before it connects, or it has no effect.
        transport.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    transport.connect((parts.hostname, parts.port))
    queue = 1 if is_slow else 16
    with connect(
        address, sock=transport, additional_headers=sent, max_size=None, max_queue=queue, close_timeout=2
    ) as connection:
        yield connection


def messages(connection: ClientConnection, seconds: float = 30) -> Iterator[dict[str, Any]]:
    """Every message until the server closes."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            message = json.loads(connection.recv(timeout=seconds), parse_float=Decimal)
            assert message["v"] == 1
            yield message


def closed_with(connection: ClientConnection, seconds: float = 10) -> tuple[int | None, list[dict[str, Any]]]:
    """The code with which the server closes, and what it said before."""
    said = list(messages(connection, seconds))
    return connection.protocol.close_code, said


class Picture:
    """What a client knows of an execution from a snapshot and events alone."""

    def __init__(self) -> None:
        self.seq = 0
        self.status = "pending"
        self.nodes: dict[str, dict[str, Any]] = {}
        self.events: list[str] = []
        self.end: dict[str, Any] | None = None
        self.heals = 0

    def take(self, message: Mapping[str, Any]) -> None:
        match message["type"]:
            case "snapshot":
                assert message["seq"] == message["execution"]["seq"]
                self.seq, self.status = message["seq"], message["execution"]["status"]
                assert all("input" not in node and "output" not in node for node in message["execution"]["nodes"])
                self.nodes = {node["key"]: dict(node) for node in message["execution"]["nodes"]}
            case "events":
                for item in message["items"]:
                    if item["seq"] > self.seq:
                        assert item["seq"] == self.seq + 1, f"{item['seq']} follows {self.seq}"
                        self._apply(item)
            case "end":
                assert message["seq"] == self.seq
                self.end = dict(message)
            case _:
                pass

    def follow(self, connection: ClientConnection, seconds: float = 40) -> None:
        """Until the end."""
        for message in messages(connection, seconds):
            self.take(message)
            if self.end is not None:
                return

    def _apply(self, item: Mapping[str, Any]) -> None:
        self.seq = item["seq"]
        self.events.append(item["event"])
        kind, _, what = item["event"].partition(".")
        if kind == "execution" and what in {"running", "completed", "failed", "cancelled"}:
            self.status = what
        elif kind == "node" and what != "abandoned":
            node = self.nodes.setdefault(item["node"], {"key": item["node"], "retry_count": 0, "reason": None})
            data = item["data"] or {}
            node["status"] = "pending" if what == "retrying" else what
            node["reason"] = data.get("reason")
            node["retry_count"] = data.get("retry_count", node["retry_count"])
            if what == "running":
                node["started_at"] = node.get("started_at") or item["at"]
            elif what in {"completed", "failed", "skipped", "cancelled"}:
                node["ended_at"] = item["at"]

    def differences(self, execution: Mapping[str, Any]) -> list[str]:
        """Where it is not what the API says."""
        found = (
            [] if (self.seq, self.status) == (execution["seq"], execution["status"]) else [f"{self.seq} {self.status}"]
        )
        for node in execution["nodes"]:
            own = self.nodes.get(node["key"], {})
            found += [
                f"{node['key']}.{field}: {own.get(field)} is {node[field]}"
                for field in ("status", "reason", "retry_count", "ended_at")
                if own.get(field) != node[field]
            ]
        return found
