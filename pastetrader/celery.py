"""The application that `celery -A pastetrader worker` serves, where PASTETRADER["DISPATCH"] is celery."""

import os

import django

_ = os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pastetrader.settings")
django.setup()

# Models can be imported only now.
from executions_app.dispatch.celery import celery_app  # noqa: E402

app = celery_app()
