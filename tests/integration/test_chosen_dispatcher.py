"""Which dispatcher is loaded, and what is said where one cannot be."""

import os
import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured

from executions_app.dispatch.chosen import dispatcher

pytestmark = pytest.mark.one_database
LOADED = (
    "import sys, django; django.setup()\n"
    "from executions_app.services import start, work\n"
    "from executions_app.dispatch.chosen import dispatcher\n"
    "print(type(dispatcher()).__name__, sorted({'celery', 'kombu', 'procrastinate', 'psycopg'} & set(sys.modules)))"
)


@pytest.mark.parametrize(
    ("chosen", "said"), [("", "Inline []"), ("celery", "Celery ['celery', 'kombu']")], ids=["none", "celery"]
)
def test_a_process_loads_what_it_dispatches_with_and_nothing_else(chosen, said, tmp_path):
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "pastetrader.settings",
        "DATABASE_URL": f"sqlite:///{tmp_path / 'none.sqlite3'}",
        "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
        "DISPATCH": chosen,
    }
    done = subprocess.run([sys.executable, "-c", LOADED], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == said


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ("procrastinate", "Add 'procrastinate.contrib.django' to INSTALLED_APPS and call `manage.py migrate`."),
        ("celery", "Set CELERY_BROKER_URL, such as redis://127.0.0.1:6379/0, or name your application"),
    ],
)
def test_a_dispatcher_that_lacks_something_says_what(chosen, said, settings, monkeypatch):
    monkeypatch.delenv("CELERY_BROKER_URL", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)
    settings.PASTETRADER = settings.PASTETRADER | {"DISPATCH": chosen}
    with pytest.raises(ImproperlyConfigured) as refused:
        _ = dispatcher()
    assert said in str(refused.value)
