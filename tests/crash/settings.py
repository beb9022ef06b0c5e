"""The product's settings with short times: what takes half a minute in use takes seconds here."""
# pyright: reportConstantRedefinition=false

import base64
import os

from pastetrader.settings import *  # noqa: F403 - they are what is tested
from pastetrader.settings import DATABASES, INSTALLED_APPS

SECRET_KEY = "no secret: signs nothing outside the test suite"
INSTALLED_APPS = [*INSTALLED_APPS, "tests.crash"]
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # Less than a lease, as in use.
    DATABASES["default"]["OPTIONS"]["timeout"] = 0.5
else:
    # A dispatcher is chosen for each test; the app of this one is there for all.
    INSTALLED_APPS = ["procrastinate.contrib.django", *INSTALLED_APPS]
PASTETRADER = {
    "TOOL_RATES": {"crash.quote": "20/s"},
    "LEASE_SECONDS": 3,
    "HEARTBEAT_SECONDS": 0.5,
    "SCAN_SECONDS": 0.3,
    "CANCEL_POLL_SECONDS": 0.1,
    "CANCEL_GRACE_SECONDS": 0.5,
    "CREDENTIAL_KEYS": os.environ.get("CREDENTIAL_KEYS", base64.urlsafe_b64encode(bytes(32)).decode()),
}
