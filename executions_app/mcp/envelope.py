"""Data that passes the protocol's package as a text: it reads and writes JSON numbers as floats, and we do not.

`sealed` puts the arguments of a call into an envelope before the package reads the message, `opened` takes results out
of theirs after it has written one. What a client can send or a run can give never looks like an envelope of ours: all
arguments get one, and inside a JSON string its quotes are escaped.
"""

import json
import re
from typing import Any

from workflows_app.dag import jsontext

_KEY = "jsontext"
_ENVELOPE = re.compile(rb'\{"jsontext": ?"([^"\\]*+(?:\\.[^"\\]*+)*+)"\}')


def sealed(message: str | bytes) -> bytes:
    """A message of a client for the package. Raises `JsonError`."""
    match jsontext.loads(message):
        case {"method": "tools/call", "params": {"arguments": dict() as arguments, **others}, **rest}:
            params = {**others, "arguments": envelope(jsontext.dumps(arguments))}
            return jsontext.dumps({**rest, "method": "tools/call", "params": params}).encode()
        case value:
            return jsontext.dumps(value).encode()


def opened(message: bytes) -> bytes:
    """A message of the package for the client."""
    return _ENVELOPE.sub(lambda found: json.loads(b'"%s"' % found[1]).encode(), message)


def envelope(text: str) -> dict[str, str]:
    return {_KEY: text}


def text_in(arguments: dict[str, Any] | None) -> str:
    """What was sealed; without arguments an empty object."""
    return "{}" if arguments is None else arguments[_KEY]
