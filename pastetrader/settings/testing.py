"""Settings of the test suite."""
# pyright: reportConstantRedefinition=false
# Overriding is the purpose.

from pastetrader.settings import *  # noqa: F403 - the embedded settings are the base
from pastetrader.settings import DATABASES, VAR_DIR

SECRET_KEY = "no secret: signs nothing outside the test suite"  # noqa: S105
# The suite tests without debug pages and without the developer's hosts, whatever .env says.
DEBUG = False
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]

if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # SQLite's in-memory database is shared-cache in tests and answers "table is locked" to a second writer; a
    # file behaves as it does in use. Each xdist worker gets a file of its own by a suffix.
    VAR_DIR.mkdir(exist_ok=True)
    DATABASES["default"]["TEST"] = {"NAME": VAR_DIR / "test.sqlite3"}

# Tests that want an engine start one.
PASTETRADER = {
    "ENGINE_IN_ASGI": False,
    "CREDENTIAL_KEYS": "bm8gc2VjcmV0OiBrZWVwcyBub3RoaW5nIHNhZmUuLi4=",
}
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
