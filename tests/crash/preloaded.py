"""Imported by the process that all others are forked from: everything is loaded, no connection is open."""

import importlib
import os

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.crash.settings"

import django

django.setup()
for name in ("dispatch.runner", "services.recover", "services.work", "management.commands.run_workflow"):
    _ = importlib.import_module(f"executions_app.{name}")
_ = importlib.import_module("celery.worker")
