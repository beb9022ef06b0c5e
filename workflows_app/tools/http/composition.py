"""A node's inputs to the first request. What is wrong with them is said without their values."""

import base64
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from urllib.parse import quote, urlencode

from workflows_app.dag import jsontext
from workflows_app.dag.wording import quoted
from workflows_app.tools.errors import NodeInputError
from workflows_app.tools.http.addresses import AllowedHost
from workflows_app.tools.http.bodies import ACCEPTED_ENCODINGS
from workflows_app.tools.http.inputs import Auth, Fields, Inputs, Scalar
from workflows_app.tools.http.messages import Message, check_url, parsed_url

_METHOD = re.compile(r"[A-Z]{3,20}")
# They make something else of a connection, or send a request's headers back.
_REFUSED_METHODS = frozenset({"CONNECT", "TRACE"})
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# They belong to the connection, or say how the answer comes.
_OURS = frozenset(
    "host content-length transfer-encoding connection keep-alive upgrade te trailer expect accept-encoding "
    "proxy-authorization proxy-connection http2-settings".split()
)


def composed(inputs: Inputs, allowed: Sequence[AllowedHost]) -> Message:
    """Raises `NodeInputError`, `HttpForbidden`."""
    if not _METHOD.fullmatch(inputs.method) or inputs.method in _REFUSED_METHODS:
        raise NodeInputError(
            "The input 'method' of tool 'http.request' is none: use GET, HEAD, OPTIONS, POST, PUT, PATCH or DELETE."
        )
    if inputs.expect is not None and not all(200 <= status <= 599 for status in inputs.expect):
        raise NodeInputError("The input 'expect' of tool 'http.request' lists statuses from 200 to 599.")
    url = parsed_url(inputs.url)
    if inputs.query:
        added = _encoded(inputs.query).encode()
        url = url.copy_with(query=b"&".join(filter(None, (url.query, added))))
    check_url(url, allowed)
    kind, content = _content(inputs)
    headers = {"accept": "*/*", "accept-encoding": ACCEPTED_ENCODINGS, "user-agent": "PasteTrader"}
    headers |= {"content-type": kind} if kind else {}
    headers |= {} if inputs.idempotency_key is None else {"idempotency-key": inputs.idempotency_key}
    headers |= {name.lower(): _checked(name, str(value), "headers") for name, value in inputs.headers.items()}
    headers |= {} if inputs.auth is None else dict([_authorization(inputs.auth)])
    return Message(method=inputs.method, url=url, headers=headers, content=content)


def _content(inputs: Inputs) -> tuple[str, bytes]:
    """The content's type and the content."""
    given = [name for name in ("json", "form", "body") if getattr(inputs, name) is not None]
    if len(given) > 1:
        raise NodeInputError("Tool 'http.request' sends one content: give one of 'json', 'form' and 'body'.")
    try:
        if inputs.json is not None:
            return "application/json", jsontext.dumps(inputs.json).encode()
        if inputs.form is not None:
            return "application/x-www-form-urlencoded", _encoded(inputs.form).encode()
        if inputs.body is not None:
            return "text/plain; charset=utf-8", inputs.body.encode()
    except (jsontext.JsonError, UnicodeEncodeError):
        raise NodeInputError(f"The input '{given[0]}' of tool 'http.request' cannot be sent as text.") from None
    return "", b""


def _encoded(fields: Fields) -> str:
    try:
        return urlencode(list(_pairs(fields)), quote_via=quote)
    except UnicodeEncodeError:
        raise NodeInputError("The input 'query' or 'form' of tool 'http.request' holds a lone surrogate.") from None


def _pairs(fields: Fields) -> Iterator[tuple[str, str]]:
    """Null is left out; a list is its name several times."""
    for name, value in fields.items():
        for item in value if isinstance(value, list) else [value]:
            if item is not None:
                yield name, _written(item)


def _written(value: Scalar) -> str:
    """Numbers in full, true and false as in JSON."""
    if isinstance(value, Decimal):
        return format(value, "f")
    return value if isinstance(value, str) else jsontext.dumps(value)


def _authorization(auth: Auth) -> tuple[str, str]:
    match auth:
        case {"bearer": str(token), **rest} if not rest:
            return "authorization", f"Bearer {_checked('Authorization', token, 'auth')}"
        case {"basic": {"username": str(name), "password": str(password)}, **rest} if not rest and ":" not in name:
            return "authorization", f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"
        case {"header": {"name": str(name), "value": str(value)}, **rest} if not rest:
            return name.lower(), _checked(name, value, "auth")
        case _:
            raise NodeInputError(
                "The input 'auth' of tool 'http.request' is one of {bearer: token}, {basic: {username, password}} and "
                + "{header: {name, value}}; a user name has no colon."
            )


def _checked(name: str, value: str, place: str) -> str:
    """The value of a header. A line break in it would begin another one."""
    if not _TOKEN.fullmatch(name) or name.lower() in _OURS:
        raise NodeInputError(
            f"The input '{place}' of tool 'http.request' cannot set the header {quoted(name)}: it is no name of one, "
            + "or the connection's own."
        )
    text = value.strip(" \t")
    try:
        _ = text.encode("latin-1")
    except UnicodeEncodeError:
        raise NodeInputError(f"The header {quoted(name)} of this call has characters beyond Latin-1.") from None
    if _CONTROL.search(text):
        raise NodeInputError(f"The header {quoted(name)} of this call holds a line break or a control character.")
    return text
