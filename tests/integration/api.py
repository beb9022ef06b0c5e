"""A program that talks to the API with a token, over Django's own request handling."""

from collections.abc import Iterable
from typing import Any

from django.test import Client

from workflows_app.dag import jsontext
from workflows_app.models.token import Scope
from workflows_app.services.tokens import EVERY_SCOPE, create_token

ROOT = "/api/v1"
PROBLEM = {"type", "title", "status", "detail", "code", "errors"}


class Program:
    """Sends JSON as the product writes it, and reads answers with all their digits."""

    def __init__(self, token: str | None = None, client: Client | None = None) -> None:
        self.client = client or Client(enforce_csrf_checks=True, raise_request_exception=False)
        self.headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        text: str | bytes | None = None,
        kind="application/json",
        **headers: Any,
    ) -> Any:
        """The response, with the body that it holds as `data`."""
        named = {name.replace("_", "-"): str(value) for name, value in headers.items()}
        content = text if text is not None else "" if body is None else jsontext.dumps(body)
        path = path if path.startswith("/api") else f"{ROOT}{path}"
        sent = {"content_type": kind} if content else {}
        response = self.client.generic(method, path, content, headers={**self.headers, **named}, **sent)
        response.data = jsontext.loads(response.content) if "json" in response.headers.get("Content-Type", "") else None
        if response.status_code >= 400:
            assert response["Content-Type"] == "application/problem+json", response.content
            assert response.data.keys() == PROBLEM
            assert response.data["status"] == response.status_code
            assert response.data["detail"].endswith((".", "?"))
        return response

    def get(self, path: str, **options: Any) -> Any:
        return self.send("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> Any:
        return self.send("POST", path, body, **options)

    def put(self, path: str, body: Any = None, **options: Any) -> Any:
        return self.send("PUT", path, body, **options)

    def patch(self, path: str, body: Any = None, **options: Any) -> Any:
        return self.send("PATCH", path, body, **options)

    def delete(self, path: str, **options: Any) -> Any:
        return self.send("DELETE", path, **options)


def program_of(user: Any, scopes: Iterable[Scope] = EVERY_SCOPE) -> Program:
    return Program(create_token(user.get_username(), scopes=scopes))
