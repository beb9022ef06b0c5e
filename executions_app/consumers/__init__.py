"""WebSockets: one execution, live, and which executions there are."""

from executions_app.consumers.execution import ExecutionConsumer
from executions_app.consumers.listing import ListingConsumer

__all__ = ["ExecutionConsumer", "ListingConsumer"]
