"""The product's settings, with nothing of the product's installed."""
# pyright: reportConstantRedefinition=false
# Overriding is the purpose.

from pastetrader.settings import *  # noqa: F403 - the same middleware, database options and logging
from pastetrader.settings import INSTALLED_APPS as _INSTALLED

INSTALLED_APPS = [
    *(name for name in _INSTALLED if name not in ("channels", "workflows_app", "executions_app")),
    "benchmarks.plain",
]
ROOT_URLCONF = "benchmarks.plain.urls"
