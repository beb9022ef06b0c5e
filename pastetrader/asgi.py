"""The ASGI application: `daphne pastetrader.asgi:application`."""

import os

from django.core.asgi import get_asgi_application

_ = os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pastetrader.settings")

pages = get_asgi_application()

# Only now: apps are loaded.
from channels.routing import ProtocolTypeRouter  # noqa: E402

from executions_app.routing import websockets, with_mcp  # noqa: E402
from executions_app.services.work import work_in_background  # noqa: E402

application = ProtocolTypeRouter({"http": with_mcp(pages), "websocket": websockets})

# A run does not wait for a request.
work_in_background()
