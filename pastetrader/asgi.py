"""The ASGI application: `daphne pastetrader.asgi:application`."""

import os

from django.core.asgi import get_asgi_application

_ = os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pastetrader.settings")

application = get_asgi_application()
