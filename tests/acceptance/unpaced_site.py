"""The site whose sockets do not wait for slow readers: the control of the test that they cost no memory."""

from pastetrader.asgi import pages

# Only now: apps are loaded.
from channels.routing import ProtocolTypeRouter, URLRouter  # isort: skip

from executions_app.consumers.origin import OriginGuard  # isort: skip
from executions_app.routing import websocket_urlpatterns  # isort: skip

application = ProtocolTypeRouter({"http": pages, "websocket": OriginGuard(URLRouter(websocket_urlpatterns))})
