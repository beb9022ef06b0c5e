"""One HTTP request as a value: what is sent, to whom, and what becomes of it at a redirect."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import httpx

from workflows_app.tools.errors import NodeInputError
from workflows_app.tools.http.addresses import AllowedHost, check_host
from workflows_app.tools.http.errors import HttpForbidden, HttpResponseError

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# Headers that go on to another origin. Any other one may be a credential.
_HARMLESS = frozenset({"accept", "accept-language", "content-type", "idempotency-key", "user-agent"})
_OF_CONTENT = frozenset({"content-type"})
_PORTS = {"http": 80, "https": 443}
_BREAK = re.compile(r"[\x00-\x20\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A request. `headers` are by lower-case names; those of the connection are added when it is sent."""

    method: str
    url: httpx.URL
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(default=b"", repr=False)

    @property
    def place(self) -> str:
        """What errors call it: method and host, nothing else."""
        port = "" if self.url.port is None else f":{self.url.port}"
        return f"{self.method} {self.url.host}{port}"

    def redirected(self, status: int, location: str, allowed: Sequence[AllowedHost]) -> "Message":
        """The request that follows a redirect. Raises `HttpResponseError`, `HttpForbidden`."""
        url = self.joined(location, allowed)
        becomes_get = (status == 303 and self.method != "HEAD") or (status in (301, 302) and self.method == "POST")
        if not becomes_get:
            return self.elsewhere(url)
        headers = {name: value for name, value in self.headers.items() if name not in _OF_CONTENT}
        return replace(self, method="GET", headers=headers, content=b"").elsewhere(url)

    def joined(self, location: str, allowed: Sequence[AllowedHost]) -> httpx.URL:
        """The address that a reference in an answer means. Raises `HttpResponseError`, `HttpForbidden`."""
        try:
            url = self.url.join(location.strip()).copy_with(fragment=None)
        except (httpx.InvalidURL, ValueError):
            raise HttpResponseError("leads to something that is no address.") from None
        check_url(url, allowed)
        if self.url.scheme == "https" and url.scheme == "http":
            raise HttpForbidden(f"{self.place} leads from https to http: it is not followed.")
        return url

    def elsewhere(self, url: httpx.URL) -> "Message":
        """The same request for another address; at another origin without what may be a credential."""
        if origin(url) == origin(self.url):
            return replace(self, url=url)
        headers = {name: value for name, value in self.headers.items() if name in _HARMLESS}
        return replace(self, url=url, headers=headers)


def origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.raw_host.decode().lower(), port_of(url)


def port_of(url: httpx.URL) -> int:
    return url.port if url.port is not None else _PORTS.get(url.scheme, 0)


def parsed_url(text: str) -> httpx.URL:
    """Raises `NodeInputError`, which does not tell the address."""
    if _BREAK.search(text.strip()):
        raise NodeInputError("The input 'url' of tool 'http.request' holds a space or a control character: encode it.")
    try:
        url = httpx.URL(text.strip()).copy_with(fragment=None)
    except (httpx.InvalidURL, ValueError):
        url = httpx.URL()
    if not url.scheme or (url.scheme in _PORTS and not (url.host and 0 < port_of(url) < 65536)):
        raise NodeInputError("The input 'url' of tool 'http.request' is no address: write it as 'https://host/path'.")
    return url


def check_url(url: httpx.URL, allowed: Sequence[AllowedHost]) -> None:
    """Refuse an address without looking it up. Raises `HttpForbidden`."""
    if url.scheme not in _PORTS:
        raise HttpForbidden("Only addresses that begin with http:// or https:// can be called.")
    if not 0 < port_of(url) < 65536:
        raise HttpForbidden("There are no ports but those from 1 to 65535.")
    if url.userinfo:
        raise HttpForbidden(
            "An address with a user name or password in it is not called: it ends up in logs. Use the input 'auth'."
        )
    check_host(url.raw_host.decode("ascii", "replace"), port_of(url), allowed)
