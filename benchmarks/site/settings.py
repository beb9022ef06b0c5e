"""The product's settings, with room for many runs at a time, and with the dispatcher that the environment names."""
# pyright: reportConstantRedefinition=false
# Overriding is the purpose.

import os

from pastetrader.settings import *  # noqa: F403 - all else as it is
from pastetrader.settings import INSTALLED_APPS as _INSTALLED

INSTALLED_APPS = [*_INSTALLED, "benchmarks.site"]
# What is measured is how fast it answers, not how often it refuses.
PASTETRADER = {
    "CONCURRENCY": 64,
    "REQUESTS_PER_MINUTE": 10**9,
    "MAX_PENDING_EXECUTIONS": 10**9,
    "DISPATCH": os.environ.get("DISPATCH", ""),
}
