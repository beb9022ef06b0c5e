"""The product's settings with tools that leak, and a log of everything."""
# pyright: reportConstantRedefinition=false

from pastetrader.settings import *  # noqa: F403 - they are what is tested
from pastetrader.settings import INSTALLED_APPS, LOGGING

INSTALLED_APPS = [*INSTALLED_APPS, "tests.leaky"]
# Libraries log addresses and headers at these levels.
LOGGING = LOGGING | {"root": {"handlers": ["stderr"], "level": "DEBUG"}}
