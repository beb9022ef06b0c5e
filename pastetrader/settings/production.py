"""Settings for a server that others can reach: nothing is generated, nothing is guessed, TLS only.

Needs SECRET_KEY and ALLOWED_HOSTS in the environment, CREDENTIAL_KEYS where there are secrets, and `manage.py
collectstatic` before the start. docs/deploy.md goes through all of it, and lists what else the environment may say.
"""
# pyright: reportConstantRedefinition=false
# Overriding is the purpose.

import os

from django.core.exceptions import ImproperlyConfigured

from pastetrader.settings import *  # noqa: F403 - the embedded settings are the base
from pastetrader.settings import BASE_DIR, LOGGING, PASTETRADER, env

DEBUG = False


def _required(name: str, example: str) -> str:
    value = os.environ.get(name, "").strip()
    if not value:
        raise ImproperlyConfigured(f"{name} is not set. Production needs it, for example {name}={example}.")
    return value


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


SECRET_KEY = _required("SECRET_KEY", "$(openssl rand -base64 48)")
# Of a key that was changed: what it signed stays good. As the key itself not through `env`.
SECRET_KEY_FALLBACKS = _listed(os.environ.get("SECRET_KEY_FALLBACKS", ""))
# Without keys no secret is kept or used: the page, the API and nodes say so.
PASTETRADER["CREDENTIAL_KEYS"] = os.environ.get("CREDENTIAL_KEYS", "")
ALLOWED_HOSTS = _listed(_required("ALLOWED_HOSTS", "trader.example.com"))
if "*" in ALLOWED_HOSTS:
    raise ImproperlyConfigured("ALLOWED_HOSTS contains '*', which admits any Host header. Name the hosts.")

# For a first try of all this on one machine: passwords and tokens cross no network there.
_is_insecure = env.bool("INSECURE_HTTP", default=False)
_LOOPBACK = {"localhost", "127.0.0.1", "[::1]"}
if _is_insecure and not _LOOPBACK.issuperset(ALLOWED_HOSTS):
    raise ImproperlyConfigured(
        "INSECURE_HTTP is on, and ALLOWED_HOSTS names hosts beyond this machine. Leave it out, and have a proxy end "
        "TLS as docs/deploy.md shows; or allow localhost and 127.0.0.1 alone."
    )
SECURE_SSL_REDIRECT = not _is_insecure
# Who probes a process talks to it and to no proxy.
SECURE_REDIRECT_EXEMPT = ["^livez$", "^readyz$", "^metrics$"]
SESSION_COOKIE_SECURE = not _is_insecure
CSRF_COOKIE_SECURE = not _is_insecure
SECURE_HSTS_SECONDS = 0 if _is_insecure else 365 * 24 * 3600
SECURE_HSTS_INCLUDE_SUBDOMAINS = not _is_insecure
# Preloading binds the whole domain in browsers for months: that is its owner's decision, not a default.
SILENCED_SYSTEM_CHECKS = ["security.W021"]
if env.bool("TRUST_FORWARDED_PROTO", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# Needed only where a proxy does not pass on the Host that browsers see.
CSRF_TRUSTED_ORIGINS = _listed(os.environ.get("CSRF_TRUSTED_ORIGINS", ""))

STATIC_ROOT = os.environ.get("STATIC_ROOT") or str(BASE_DIR / "staticfiles")
WHITENOISE_USE_FINDERS = False
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

# What this process does; docs/settings.md says what each means. What is not set keeps its default.
if _queues := _listed(os.environ.get("QUEUES", "")):
    PASTETRADER["QUEUES"] = _queues
if os.environ.get("ENGINE_IN_ASGI"):
    PASTETRADER["ENGINE_IN_ASGI"] = env.bool("ENGINE_IN_ASGI")
if os.environ.get("CONCURRENCY"):
    PASTETRADER["CONCURRENCY"] = env.int("CONCURRENCY")

# To standard error, where systemd and containers take it from; standard output stays that of commands.
LOGGING["root"]["level"] = os.environ.get("LOG_LEVEL", "").upper() or "WARNING"
