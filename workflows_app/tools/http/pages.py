"""Answers in pages: where the next one is, and the items of all of them."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

import httpx

from workflows_app.dag.paths import index_of
from workflows_app.dag.types import JsonValue
from workflows_app.tools.errors import NodeInputError
from workflows_app.tools.http.addresses import AllowedHost
from workflows_app.tools.http.errors import HttpResponseError
from workflows_app.tools.http.inputs import Cursor, Pagination
from workflows_app.tools.http.messages import Message

MAX_PAGES = 100
_LINK = re.compile(r"<([^<>]*)>([^<]*)")
_REL = re.compile(r';\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))', re.IGNORECASE)


class Pager:
    """Collects the items of pages and tells where the next one is."""

    def __init__(self, *, cursor: Cursor | None, items: str, max_pages: int) -> None:
        self._cursor = cursor
        self._path = items
        self._max_pages = max_pages
        self._seen: set[str] = set()
        self.items: list[JsonValue] = []
        self.count = 0
        self.is_complete = False

    def add(
        self, url: httpx.URL, headers: Mapping[str, str], body: JsonValue, allowed: Sequence[AllowedHost]
    ) -> httpx.URL | None:
        """Take a page; the address of the next one, None where there is none or where there may be no more.

        Raises `HttpResponseError` with the end of a sentence about the answer, `HttpForbidden`.
        """
        self._seen.add(str(url))
        self.count += 1
        found = at(body, self._path)
        if not isinstance(found, list):
            raise HttpResponseError("has no list where 'pagination.items' says, or is none itself where it is not set.")
        self.items += found
        following = self._following(url, headers, body, allowed)
        self.is_complete = following is None
        if following is None or self.count >= self._max_pages:
            return None
        if str(following) in self._seen:
            raise HttpResponseError("leads to a page that was read already.")
        return following

    def _following(
        self, url: httpx.URL, headers: Mapping[str, str], body: JsonValue, allowed: Sequence[AllowedHost]
    ) -> httpx.URL | None:
        if self._cursor is None:
            target = next_link(headers.get("link", ""))
            return None if target is None else Message(method="GET", url=url, headers={}).joined(target, allowed)
        value = at(body, self._cursor["from"])
        if value is None or value is False or value == "":
            return None
        if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
            raise HttpResponseError("has no text or number where 'pagination.cursor.from' says.")
        return url.copy_set_param(self._cursor["param"], str(value))


def pager_of(pagination: Pagination | None) -> Pager | None:
    """Raises `NodeInputError`."""
    if pagination is None:
        return None
    max_pages, cursor = pagination.get("max_pages", MAX_PAGES), pagination.get("cursor")
    if bool(pagination.get("link")) is (cursor is not None):
        raise NodeInputError("The input 'pagination' of tool 'http.request' needs either 'link: true' or a 'cursor'.")
    if not 1 <= max_pages <= MAX_PAGES:
        raise NodeInputError(f"'pagination.max_pages' of tool 'http.request' goes from 1 to {MAX_PAGES}.")
    return Pager(cursor=cursor, items=pagination.get("items", ""), max_pages=max_pages)


def at(body: JsonValue, path: str) -> JsonValue:
    """What stands at a dotted path, a number in it counting the items of a list; null where there is nothing."""
    for step in path.split(".") if path else ():
        if isinstance(body, dict):
            body = body.get(step)
        elif isinstance(body, list) and (index := index_of(step)) is not None and index < len(body):
            body = body[index]
        else:
            return None
    return body


def next_link(header: str) -> str | None:
    """The target of `rel=next` in a Link header (RFC 8288)."""
    for target, parameters in _LINK.findall(header):
        for quoted, bare in _REL.findall(parameters):
            if "next" in (quoted or bare).lower().split():
                return target
    return None
