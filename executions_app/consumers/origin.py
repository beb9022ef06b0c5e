"""Which pages may open a socket: those of this site. A program that has no page shows a token instead."""

from typing import Any, override
from urllib.parse import ParseResult

from channels.security.websocket import OriginValidator
from django.conf import settings

_LOCAL = ["localhost", "127.0.0.1", "[::1]"]


class OriginGuard(OriginValidator):
    """Refuses the handshake of a foreign page; and one without an Origin, unless it has an Authorization header."""

    def __init__(self, application: Any) -> None:
        hosts = settings.ALLOWED_HOSTS or (_LOCAL if settings.DEBUG else [])
        super().__init__(application, hosts)

    @override
    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        names = {name for name, _ in scope.get("headers", ())}
        if b"origin" not in names and b"authorization" in names:
            application: Any = self.application
            return await application(scope, receive, send)
        answer: Any = await super().__call__(scope, receive, send)
        return answer

    @override
    def valid_origin(self, parsed_origin: ParseResult | None) -> bool:
        # Also where every host is allowed: a page that hides where it is from is no page of this site.
        return (
            parsed_origin is not None
            and parsed_origin.scheme in {"http", "https"}
            and bool(parsed_origin.hostname)
            and self.validate_origin(parsed_origin)
        )
