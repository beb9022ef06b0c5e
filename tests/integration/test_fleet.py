"""What `manage.py check` says of processes that cannot work together. Beside each finding stands what it lets pass."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from executions_app import conf, fleet
from executions_app.fleet import check_dispatch, check_queues, check_shared_parts
from tests.architecture.source import ROOT

pytestmark = pytest.mark.one_database

POSTGRESQL = {"default": {"ENGINE": "django.db.backends.postgresql"}}
SQLITE = {"default": {"ENGINE": "django.db.backends.sqlite3"}}
IN_MEMORY = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
SHARED = {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer"}}
OWN_CACHE = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
SHARED_CACHE = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache"}}
# The path of a class, as a dispatcher of a site's own is named.
OWN = "executions_app.dispatch.inline.Inline"
KEY = "YW5vdGhlciBrZXksIG9mIHRoaXJ0eSB0d28gYnl0ZXM="
PRODUCTION = {
    "DJANGO_SETTINGS_MODULE": "pastetrader.settings.production",
    "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "CREDENTIAL_KEYS": KEY,
    "ALLOWED_HOSTS": "trader.example",
    "DATABASE_URL": "postgres://user@db.example/trader",
    "REDIS_URL": "redis://cache.example/0",
}


@pytest.fixture
def ids(monkeypatch):
    """The ids of what checks find where the settings are these."""

    def found(*asked, databases=POSTGRESQL, layers=SHARED, caches=SHARED_CACHE, **chosen):
        # The checks' alone: connections of this process have been made from its own.
        given = {"PASTETRADER": chosen, "DATABASES": databases, "CHANNEL_LAYERS": layers, "CACHES": caches}
        for module in (fleet, conf):
            monkeypatch.setattr(module, "settings", SimpleNamespace(**given))
        return [one.id.removeprefix("pastetrader.") for check in asked for one in check(None)]

    return found


def test_the_default_needs_nothing(ids):
    assert (
        ids(check_dispatch, check_queues, check_shared_parts, databases=SQLITE, layers=IN_MEMORY, caches=OWN_CACHE)
        == []
    )


@pytest.mark.parametrize("wrong", ["rabbit", "no.such.Dispatcher", "executions_app.dispatch.base.Job", 5])
def test_what_is_no_dispatcher_is_an_error(ids, wrong):
    assert ids(check_dispatch, DISPATCH=wrong) == ["E060"]


def test_a_dispatcher_of_a_sites_own_is_none(ids):
    assert ids(check_dispatch, DISPATCH=OWN) == []


def test_a_dispatcher_whose_package_is_missing_says_how_to_install_it(settings, monkeypatch):
    settings.PASTETRADER = {"DISPATCH": "celery"}
    monkeypatch.setitem(sys.modules, "executions_app.dispatch.celery", None)
    found = next(one for one in check_dispatch(None) if one.id == "pastetrader.E060")
    assert "which cannot be loaded" in found.msg
    assert found.hint == "Install what it needs: uv sync --extra postgresql --extra celery"


def test_workers_of_other_hosts_cannot_share_sqlite(ids):
    assert ids(check_dispatch, DISPATCH=OWN, databases=SQLITE) == ["E061"]
    assert ids(check_dispatch, DISPATCH=OWN) == []
    assert ids(check_dispatch, DISPATCH="inline", databases=SQLITE) == []


def test_a_dispatcher_means_several_processes_which_must_hear_each_other(ids):
    assert ids(check_shared_parts, DISPATCH=OWN, layers=IN_MEMORY) == ["E062"]
    assert ids(check_shared_parts, layers=IN_MEMORY) == ["W002"]
    assert ids(check_shared_parts, DISPATCH=OWN, caches=OWN_CACHE) == ["W003"]
    assert ids(check_shared_parts, DISPATCH=OWN) == []


def test_celery_needs_a_broker(ids, monkeypatch):
    for name in ("CELERY_BROKER_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    assert ids(check_dispatch, DISPATCH="celery") == ["E063"]
    assert ids(check_dispatch, DISPATCH="celery", CELERY_BROKER="redis://127.0.0.1/1") == []
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://127.0.0.1/1")
    assert ids(check_dispatch, DISPATCH="celery") == []


@pytest.mark.parametrize("wrong", ["default", {"cpu": 1}, [""], ["Cpu"], ["a b"], [5], ["q" * 61]])
def test_queues_are_a_list_of_names(ids, wrong):
    assert ids(check_queues, QUEUES=wrong) == ["E064"]


@pytest.mark.parametrize("right", [[], ["default"], ("default", "cpu-2", "with_line")])
def test_queues_with_names_pass(ids, right):
    assert ids(check_queues, QUEUES=right) == []


def test_engines_beside_the_server_make_a_dispatcher_idle(ids):
    assert ids(check_shared_parts, DISPATCH=OWN, ENGINE_IN_ASGI=True) == ["W060"]
    assert ids(check_shared_parts, DISPATCH=OWN, ENGINE_IN_ASGI=False) == []
    assert ids(check_shared_parts, ENGINE_IN_ASGI=True) == []


def checked(**environment):
    """What `check --deploy` says in a process of its own."""
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    result = subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True)
    return result.returncode, result.stderr


def test_the_documented_environment_is_clean_and_each_part_of_it_is_needed():
    assert checked(**PRODUCTION) == (0, "")
    code, said = checked(**PRODUCTION | {"REDIS_URL": "", "CREDENTIAL_KEYS": "", "QUEUES": "Cpu"})
    assert code == 1
    for id_ in ("W002", "W003", "W020", "E064"):
        assert f"pastetrader.{id_}" in said


def test_plain_http_is_for_this_machine_alone_and_is_warned_of():
    code, said = checked(**PRODUCTION | {"INSECURE_HTTP": "on", "ALLOWED_HOSTS": "localhost,127.0.0.1"})
    assert code == 1
    for id_ in ("W004", "W008", "W012", "W016"):
        assert f"security.{id_}" in said
    code, said = checked(**PRODUCTION | {"INSECURE_HTTP": "on", "ALLOWED_HOSTS": "localhost,trader.example"})
    assert code != 0
    assert "INSECURE_HTTP is on, and ALLOWED_HOSTS names hosts beyond this machine." in said


READ = """
import json, django
django.setup()
from django.conf import settings
from executions_app.conf import execution_settings
chosen = execution_settings()
print(json.dumps([chosen.queues, chosen.engine_in_asgi, chosen.concurrency, settings.CSRF_TRUSTED_ORIGINS,
    settings.SECRET_KEY_FALLBACKS, settings.LOGGING["root"]["level"], settings.STATIC_ROOT]))
"""


def test_production_takes_the_rest_from_the_environment_too():
    environment = os.environ | PRODUCTION
    given = {
        "QUEUES": "default, cpu",
        "ENGINE_IN_ASGI": "off",
        "CONCURRENCY": "7",
        "CSRF_TRUSTED_ORIGINS": "https://a.example",
        "SECRET_KEY_FALLBACKS": "$old,older",
        "LOG_LEVEL": "info",
        "STATIC_ROOT": "/srv/static",
    }
    read = [sys.executable, "-c", READ]
    said = subprocess.run(read, cwd=ROOT, env=environment | given, capture_output=True, text=True, check=True).stdout
    wanted = '[["default", "cpu"], false, 7, ["https://a.example"], ["$old", "older"], "INFO", "/srv/static"]'
    assert said.strip() == wanted
    said = subprocess.run(read, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    assert said.startswith('[[], true, 32, [], [], "WARNING", ')


@pytest.mark.django_db
def test_probes_are_answered_without_tls_and_nothing_else_is(client, settings):
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_REDIRECT_EXEMPT = ["^livez$", "^readyz$", "^metrics$"]
    assert client.get("/livez").status_code == 200
    assert client.get("/metrics").status_code == 200
    assert client.get("/admin/").status_code == 301
    assert client.get("/api/v1/metrics").status_code == 301
