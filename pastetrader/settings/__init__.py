"""The embedded default: SQLite in `var/`, an in-memory channel layer, everything in one process.

The environment (and a `.env` file beside manage.py) may set DATABASE_URL, REDIS_URL, SECRET_KEY, CREDENTIAL_KEYS,
DEBUG, ALLOWED_HOSTS, METRICS_TOKEN, AGENT_PROVIDER and DISPATCH. Nothing needs to be set to begin.
"""

import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import environ
from django.utils.csp import CSP

from pastetrader.settings.secret_key import new_credential_key, new_secret_key, read_or_generate

BASE_DIR = Path(__file__).resolve().parent.parent.parent
# State of a running project: database, secret key. Not under version control.
VAR_DIR = BASE_DIR / "var"

# Any: the types that the package states for defaults refuse every default.
env: Any = environ.Env()
if (BASE_DIR / ".env").is_file():
    env.read_env(BASE_DIR / ".env")


def _own_key(name: str, generate: Callable[[], str]) -> str:
    """Production is built on these settings, but is given its keys: none must appear in its files."""
    is_production = os.environ.get("DJANGO_SETTINGS_MODULE", "").endswith(".production")
    return "" if is_production else read_or_generate(VAR_DIR / name, generate)


DEBUG: bool = env.bool("DEBUG", default=False)
# Not through `env`, which takes a value that begins with $ for the name of another variable.
SECRET_KEY: str = os.environ.get("SECRET_KEY", "") or _own_key("secret_key", new_secret_key)
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])

# What tells workers of accepted runs: docs/dispatchers.md.
DISPATCH: str = os.environ.get("DISPATCH", "") or "inline"

INSTALLED_APPS = [
    # Daphne as an app does one thing, it makes `runserver` speak ASGI, and costs every other command half a
    # second for importing Twisted.
    *(["daphne"] if sys.argv[1:2] == ["runserver"] else []),
    # Without its search for admin modules, which `pastetrader.urls` makes: commands need none of the pages.
    "django.contrib.admin.apps.SimpleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    # Its tables and its tasks, where workers are told by it.
    *(["procrastinate.contrib.django"] if DISPATCH == "procrastinate" else []),
    "workflows_app",
    "executions_app",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "pastetrader.urls"
ASGI_APPLICATION = "pastetrader.asgi.application"

# The files of the API's documentation page are served from here. Ninja as an app would do the same, and cost every
# command its import.
_ninja = find_spec("ninja")
assert _ninja is not None
assert _ninja.origin is not None
_NINJA_DIR = Path(_ninja.origin).parent

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates", _NINJA_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

_database: dict[str, Any] = env.db_url("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'pastetrader.sqlite3'}")
if _database["ENGINE"] == "django.db.backends.sqlite3":
    if Path(_database["NAME"]).parent == VAR_DIR:
        VAR_DIR.mkdir(exist_ok=True)
    _database["OPTIONS"] = {
        # A transaction that begins by reading and then writes cannot wait for a lock, it fails at once.
        # IMMEDIATE takes the write lock at the start and waits for it, up to the timeout. The price: every
        # `atomic()` is a write lock, so ATOMIC_REQUESTS stays off.
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        # Readers go on while one writes. NORMAL loses no commit when the process is killed; a power cut may take
        # the last ones.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        **_database.get("OPTIONS", {}),
    }
else:
    # A connection that a crash of the server broke is found out before it is used.
    _database["CONN_HEALTH_CHECKS"] = True
    # A server that is gone without a word is noticed within a third of a lease.
    _database["OPTIONS"] = {"tcp_user_timeout": 10_000, **_database.get("OPTIONS", {})}
    # Threads take a connection from the pool and give it back; without one each has its own while it works.
    if _pool_size := env.int("DATABASE_POOL_SIZE", default=0):
        _database["OPTIONS"]["pool"] = {"min_size": 1, "max_size": _pool_size, "timeout": 10}
DATABASES = {"default": _database}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

_redis_url: str = env.str("REDIS_URL", default="")
CHANNEL_LAYERS: dict[str, dict[str, Any]] = {
    "default": (
        {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            # The layer waits for messages 5 s at a time, which is the time after which redis 8 gives up a connection.
            "CONFIG": {"hosts": [{"address": _redis_url, "socket_timeout": 15, "socket_connect_timeout": 2}]},
        }
        if _redis_url
        else {"BACKEND": "channels.layers.InMemoryChannelLayer"}
    )
}

# It counts requests, so that there are not too many. JSON instead of pickle: what lies in Redis is data, no code.
CACHES: dict[str, dict[str, Any]] = {
    "default": (
        {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": _redis_url,
            "OPTIONS": {"serializer": "django.core.signing.JSONSerializer", "socket_timeout": 1},
        }
        if _redis_url
        else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "OPTIONS": {"MAX_ENTRIES": 10_000}}
    )
}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

# Pages have no script, style or address that does not come from this site, so none that somebody puts into a name or an
# output is taken for one.
SECURE_CSP: dict[str, list[str]] = {
    "default-src": [CSP.SELF],
    "img-src": [CSP.SELF, "data:"],
    "object-src": [CSP.NONE],
    "base-uri": [CSP.NONE],
    "form-action": [CSP.SELF],
    "frame-ancestors": [CSP.NONE],
}

LANGUAGE_CODE = "en"
# As the browser asks for, until somebody chooses in the head of a page.
LANGUAGES = [("en", "English"), ("ko", "Korean")]
# What Django's own Korean says otherwise, or leaves out. Our texts are in the catalogues of the apps.
LOCALE_PATHS = [BASE_DIR / "pastetrader" / "locale"]
FORMAT_MODULE_PATH = ["pastetrader.formats"]
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
# Static files are served from where the apps keep them: nothing has to be collected.
WHITENOISE_USE_FINDERS = True
STATICFILES_DIRS = [("ninja", _NINJA_DIR / "static" / "ninja")]

# The longest body is a document's; every operation has its own limit below it.
DATA_UPLOAD_MAX_MEMORY_SIZE = 16 * 1024 * 1024

# With DEBUG off Django would mail errors to nobody. Standard output belongs to the results of commands.
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    # What nodes do may be logged by anybody: secrets that are in use are masked in every line.
    "filters": {"secrets": {"()": "workflows_app.tools.log_masking.MaskSecrets"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["secrets"]}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    # Without Django's own handlers, which would say everything again, unmasked.
    "loggers": {"django": {}, "django.server": {"propagate": True}},
}

# Everything of ours. Each app reads its part when it needs it (`conf.py`) and checks it (`manage.py check`).
# docs/settings.md lists all.
PASTETRADER: dict[str, Any] = {
    "DISPATCH": DISPATCH,
    "METRICS_TOKEN": os.environ.get("METRICS_TOKEN", ""),
    # Entries by commas, as docs/http.md says.
    "HTTP_ALLOWED_HOSTS": env.list("HTTP_ALLOWED_HOSTS", default=[]),
    # Who answers the agents of the demo, such as openai:MODEL; docs/agents.md says more.
    "AGENT_PROVIDER": os.environ.get("AGENT_PROVIDER", ""),
    "DEMO": BASE_DIR / "demo",
    "CREDENTIAL_KEYS": os.environ.get("CREDENTIAL_KEYS", "") or _own_key("credential_keys", new_credential_key),
}
