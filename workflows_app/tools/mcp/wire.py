"""What passes between the protocol's package and a server: numbers with all their digits, and no more than is allowed.

The package reads and writes JSON numbers as floats. So the arguments of a call get into its message here, behind the
package, and its answer is read here, before the package reads it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from workflows_app.dag import jsontext
from workflows_app.dag.types import JsonObject, JsonValue

# Messages that may come for one request, such as tidings of its progress.
MOST_MESSAGES = 10_000


class WireError(Exception):
    """Raised for what a server sends and must not; the predicate of a sentence about it."""


@dataclass(slots=True)
class Wire:
    """One connection, used for one request at a time. `limit` are the bytes that may come for each."""

    limit: int
    # Of the call that is made next.
    arguments: JsonObject | None = None
    # What the server said to the last request: one of them, where it has answered.
    result: JsonObject | None = None
    refusal: JsonObject | None = None
    # Whether the last call has left this process, so that it may have been carried out.
    is_sent: bool = False
    # Why nothing can come any more, as the predicate of a sentence.
    trouble: str = ""
    # Of the last answer over HTTP, and the seconds that it asks to wait.
    http_status: int = 0
    wait: float | None = None
    # Whether a program has ended, perhaps a moment before its output says so.
    has_ended: Callable[[], bool] = lambda: False
    _asked: JsonValue = None
    _bytes: int = 0
    _messages: int = 0

    def begin(self, arguments: JsonObject | None = None) -> None:
        """Another request comes."""
        self.arguments = arguments
        self.result = self.refusal = self._asked = None
        self.is_sent, self.http_status, self.wait = False, 0, None
        self._bytes = self._messages = 0

    def outgoing(self, message: bytes) -> bytes:
        """A message of the package for the server."""
        value = cast(JsonObject, jsontext.loads(message))
        if "method" in value and "id" in value:
            self._asked = value["id"]
        if value.get("method") != "tools/call":
            return message
        value["params"] = {**cast(JsonObject, value["params"]), "arguments": self.arguments or {}}
        self.is_sent = True
        return jsontext.dumps(value).encode()

    def count(self, size: int) -> None:
        """So many bytes came. Raises `WireError`."""
        self._bytes += size
        if self._bytes > self.limit:
            raise self._trouble(f"sent more than {self.limit} bytes, the limit for one output")

    def incoming(self, message: bytes) -> None:
        """Look at a message for the package. Raises `WireError` for what is none."""
        self._messages += 1
        if self._messages > MOST_MESSAGES:
            raise self._trouble(f"sent more than {MOST_MESSAGES} messages for one request")
        try:
            value = jsontext.loads(message)
        except jsontext.JsonError:
            raise self._trouble("sent a message that is no JSON") from None
        if not isinstance(value, dict) or "jsonrpc" not in value:
            raise self._trouble("sent what is no message of the protocol")
        if "method" in value or self._asked is None:
            return
        # Of an answer to what could not be read nobody knows to which request.
        if value.get("id") not in (self._asked, None):
            return
        match value:
            case {"result": dict() as result}:
                self.result = result
            case {"error": dict() as refusal}:
                self.refusal = refusal
            case _:
                raise self._trouble("sent an answer that is none")

    def _trouble(self, predicate: str) -> WireError:
        self.trouble = self.trouble or predicate
        return WireError(predicate)
