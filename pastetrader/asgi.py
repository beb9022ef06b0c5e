"""The ASGI application: `daphne pastetrader.asgi:application`."""

import os

from django.core.asgi import get_asgi_application

_ = os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pastetrader.settings")

application = get_asgi_application()

# Only now: apps are loaded.
from executions_app.services.work import work_in_background  # noqa: E402

# A run does not wait for a request.
work_in_background()
