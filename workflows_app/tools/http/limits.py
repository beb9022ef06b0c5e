"""What HTTP calls may use and reach; the settings may say otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass

from workflows_app.tools.http.addresses import AllowedHost


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """The bounds of one call, redirects and pages included, and of a process.

    `response_bytes` bounds bodies, both as they come and decompressed, all pages of a call together. `header_bytes`
    and `header_count` bound one answer. `connections` are those of one event loop. `ca_file` has certificate
    authorities that are trusted besides the public ones.
    """

    allowed: Sequence[AllowedHost] = ()
    total_seconds: float = 60.0
    connect_seconds: float = 10.0
    response_bytes: int = 4 * 1024**2
    header_bytes: int = 64 * 1024
    header_count: int = 200
    json_depth: int = 64
    connections: int = 100
    ca_file: str | None = None


@dataclass(slots=True)
class Configured:
    """The limits of this process."""

    limits: HttpLimits = HttpLimits()


configured = Configured()
