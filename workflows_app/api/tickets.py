"""Tickets for WebSockets, where a browser can send no header."""

from typing import Any

from django.http import HttpRequest
from ninja import Router, Status

from workflows_app.rest.auth import READ, caller
from workflows_app.schemas import Ticket
from workflows_app.services.tokens import TICKET_SECONDS, issue_ticket

router = Router(tags=["tickets"])


@router.post("/tickets", auth=READ, response={201: Ticket})
def create_ticket(request: HttpRequest) -> Any:
    """A ticket that opens one WebSocket within 30 s, with the rights of who asks for it."""
    return Status(201, {"ticket": issue_ticket(caller(request)), "expires_in": TICKET_SECONDS})
