"""The body of an answer, read within its limits, and the JSON value that it becomes.

A compressed body is decompressed piece by piece, and never further than one byte over the limit.
"""

import base64
import codecs
import zlib
from collections.abc import AsyncIterable, Mapping

from workflows_app.dag import jsontext
from workflows_app.dag.types import JsonValue
from workflows_app.tools.http.errors import HttpResponseError, HttpTooLarge
from workflows_app.tools.http.inputs import Form

# What is asked for, and all that is understood.
ACCEPTED_ENCODINGS = "gzip, deflate"
# Their decoders take time in proportion to the text; those of punycode, for one, do not.
_CHARSETS = frozenset(
    "utf-8 ascii cp1250 cp1251 cp1252 cp1253 cp1254 cp1257 iso8859-1 iso8859-2 iso8859-5 iso8859-7 iso8859-9 "
    "iso8859-15 koi8-r utf-16 utf-16-le utf-16-be shift_jis cp932 euc_jp euc_kr cp949 gb2312 gbk gb18030 big5".split()
)


class Budget:
    """The bytes of bodies that one call may still read."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._raw = 0
        self._plain = 0

    @property
    def room(self) -> int:
        return self._limit - self._plain

    def take_raw(self, size: int) -> None:
        """Count bytes as they come. Raises `HttpTooLarge`."""
        self._raw += size
        if self._raw > self._limit:
            raise self._too_large()

    def take(self, size: int) -> None:
        """Count bytes of content. Raises `HttpTooLarge`."""
        self._plain += size
        if self._plain > self._limit:
            raise self._too_large()

    def check_announced(self, length: str) -> None:
        """Refuse a body that says that it is too long. Raises `HttpTooLarge`."""
        # No number of so many digits is one of bytes; and `int` has a limit of its own.
        if length.isdecimal() and (len(length) > 18 or self._raw + int(length) > self._limit):
            raise self._too_large()

    def _too_large(self) -> HttpTooLarge:
        return HttpTooLarge(
            f"has more than {self._limit} bytes, the limit for the bodies of one call: ask for less of it, or have "
            + "PASTETRADER['HTTP_RESPONSE_BYTES'] raised."
        )


async def read(parts: AsyncIterable[bytes], headers: Mapping[str, str], budget: Budget) -> bytes:
    """The content of a body. Raises `HttpResponseError` with the end of a sentence about the answer."""
    inflater: _Inflater | None = None
    content: list[bytes] = []
    budget.check_announced(headers.get("content-length", ""))
    encoding = headers.get("content-encoding", "identity").strip().lower()
    async for raw in parts:
        budget.take_raw(len(raw))
        if encoding == "identity":
            piece = raw
        else:
            inflater = inflater or _inflater(encoding)
            piece = inflater.feed(raw, budget.room + 1)
        budget.take(len(piece))
        content.append(piece)
    if inflater is not None and not inflater.ended:
        raise HttpResponseError("is compressed and ends too early.")
    return b"".join(content)


class _Inflater:
    """gzip, also of several members, and deflate with and without zlib's header."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._stream = zlib.decompressobj(window)
        self._members = 0
        # Of deflate: what came before its first two bytes were there.
        self._held = b""

    @property
    def ended(self) -> bool:
        return self._stream.eof

    def feed(self, data: bytes, most: int) -> bytes:
        """What comes of these bytes: at most `most` bytes, at least one; what is beyond that is lost."""
        if self._window == zlib.MAX_WBITS and not self._members:
            data = self._held = self._held + data
            if len(data) < 2:
                return b""
            if not _has_zlib_header(data):
                # Some servers take the name literally and leave zlib's header out.
                self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        self._members = self._members or 1
        found = bytearray()
        try:
            while data and len(found) < most:
                if self._stream.eof:
                    if self._window != _GZIP:
                        break
                    self._next_member()
                found += self._stream.decompress(data, most - len(found))
                data = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
        except zlib.error:
            raise HttpResponseError("is not compressed as it says.") from None
        return bytes(found)

    def _next_member(self) -> None:
        self._members += 1
        if self._members > _MEMBERS:
            raise HttpTooLarge(f"is compressed in more than {_MEMBERS} pieces.")
        self._stream = zlib.decompressobj(self._window)


def _has_zlib_header(data: bytes) -> bool:
    return data[0] & 15 == zlib.DEFLATED and int.from_bytes(data[:2]) % 31 == 0


_GZIP = zlib.MAX_WBITS | 16
# Empty ones would cost time and never reach a limit of bytes.
_MEMBERS = 1000


def _inflater(encoding: str) -> _Inflater:
    match encoding:
        case "gzip" | "x-gzip":
            return _Inflater(_GZIP)
        case "deflate":
            return _Inflater(zlib.MAX_WBITS)
        case _:
            raise HttpResponseError(f"is encoded in a way that was not asked for; {ACCEPTED_ENCODINGS} is understood.")


def value_of(content: bytes, form: Form, content_type: str, depth: int) -> JsonValue:
    """The value that a body becomes, null where it is empty. Raises `HttpResponseError`, as `read` does."""
    if not content:
        return None
    kind, _, parameters = content_type.partition(";")
    match form if form != "auto" else _form_of(kind.strip().lower()):
        case "json":
            return _json(content, depth)
        case "text":
            return _text(content, parameters)
        case _:
            return base64.b64encode(content).decode()


def _form_of(kind: str) -> Form:
    family, _, name = kind.partition("/")
    if name == "json" or name.endswith("+json"):
        return "json"
    if family == "text" or name.endswith("+xml") or name in ("xml", "javascript", "x-www-form-urlencoded", "yaml"):
        return "text"
    return "bytes"


def _json(content: bytes, depth: int) -> JsonValue:
    try:
        value = jsontext.loads(content.removeprefix(codecs.BOM_UTF8))
    except (jsontext.JsonError, UnicodeDecodeError):
        # The reason may hold a piece of the answer.
        raise HttpResponseError(
            "is no JSON that can be kept: it is malformed, nested too deeply, or has a number of more than 256 bits or "
            + "64 digits, NaN, U+0000 or a lone surrogate."
        ) from None
    if content.count(b"[") + content.count(b"{") > depth and jsontext.is_deeper(value, depth):
        raise HttpResponseError(f"is JSON of more than {depth} levels.")
    return value


def _text(content: bytes, parameters: str) -> str:
    text = content.decode(_charset(parameters), "replace")
    if "\0" in text:
        raise HttpResponseError("is text with U+0000 in it, which cannot be kept: ask for 'bytes'.")
    return text


def _charset(parameters: str) -> str:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            try:
                found = codecs.lookup(value.strip().strip("\"'")).name
            except (LookupError, ValueError):
                break
            return found if found in _CHARSETS else "utf-8"
    return "utf-8"
