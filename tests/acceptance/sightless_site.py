"""The site whose sockets never look at the database by themselves: what they tell of came over the channel layer."""

from pastetrader.asgi import application

# Only now: apps are loaded.
from executions_app.consumers import hub  # isort: skip

__all__ = ["application"]

hub.LOOK_SECONDS = 3600.0
