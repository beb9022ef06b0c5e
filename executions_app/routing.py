"""What a project mounts for `websocket` in its ASGI application."""

from typing import Any, cast

from channels.routing import URLRouter
from django.urls import path

from executions_app.consumers import ExecutionConsumer, ListingConsumer
from executions_app.consumers.backpressure import paced
from executions_app.consumers.origin import OriginGuard
from executions_app.consumers.unknown import UnknownAddress

websocket_urlpatterns: list[Any] = [
    path("ws/executions/", cast(Any, ListingConsumer.as_asgi())),
    path("ws/executions/<str:execution>/", cast(Any, ExecutionConsumer.as_asgi())),
    path("<path:anything>", cast(Any, UnknownAddress.as_asgi())),
]

websockets = paced(OriginGuard(URLRouter(websocket_urlpatterns)))
