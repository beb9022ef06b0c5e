"""Settings for a server that others can reach: nothing is generated, nothing is guessed, TLS only.

Needs SECRET_KEY and ALLOWED_HOSTS in the environment, CREDENTIAL_KEYS where there are secrets, and `manage.py
collectstatic` before the start. Where a proxy ends TLS and sets X-Forwarded-Proto itself, say so with
TRUST_FORWARDED_PROTO=on.
"""
# pyright: reportConstantRedefinition=false
# Overriding is the purpose.

import os

from django.core.exceptions import ImproperlyConfigured

from pastetrader.settings import *  # noqa: F403 - the embedded settings are the base
from pastetrader.settings import BASE_DIR, PASTETRADER, env

DEBUG = False


def _required(name: str, example: str) -> str:
    value = os.environ.get(name, "").strip()
    if not value:
        raise ImproperlyConfigured(f"{name} is not set. Production needs it, for example {name}={example}.")
    return value


SECRET_KEY = _required("SECRET_KEY", "$(openssl rand -base64 48)")
# Without keys no secret is kept or used: the page, the API and nodes say so.
PASTETRADER["CREDENTIAL_KEYS"] = os.environ.get("CREDENTIAL_KEYS", "")
ALLOWED_HOSTS = [host.strip() for host in _required("ALLOWED_HOSTS", "trader.example.com").split(",")]
if "*" in ALLOWED_HOSTS:
    raise ImproperlyConfigured("ALLOWED_HOSTS contains '*', which admits any Host header. Name the hosts.")

SECURE_SSL_REDIRECT = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
SECURE_HSTS_SECONDS = 365 * 24 * 3600
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
# Preloading binds the whole domain in browsers for months: that is its owner's decision, not a default.
SILENCED_SYSTEM_CHECKS = ["security.W021"]
if env.bool("TRUST_FORWARDED_PROTO", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

STATIC_ROOT = BASE_DIR / "staticfiles"
WHITENOISE_USE_FINDERS = False
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
