"""The settings as a process meets them: what needs no configuration, and what production refuses."""

import io
import os
import re
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import override_settings

from pastetrader.settings.secret_key import new_credential_key, read_or_generate
from tests.architecture.source import ROOT
from workflows_app.services.secrets import NewSecret, set_secret

KEY = "YW5vdGhlciBrZXksIG9mIHRoaXJ0eSB0d28gYnl0ZXM="
READ_SETTINGS = """
from django.conf import settings
print(settings.SECRET_KEY)
print(settings.DEBUG, settings.DATABASES["default"]["ENGINE"], settings.CHANNEL_LAYERS["default"]["BACKEND"])
print(settings.ALLOWED_HOSTS)
"""


def settings_process(module: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A fresh process that reads settings with only this in its environment, whatever `.env` says."""
    unset = {"SECRET_KEY": "", "CREDENTIAL_KEYS": "", "ALLOWED_HOSTS": ""}
    return subprocess.run(
        [sys.executable, "-c", READ_SETTINGS],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": module, **unset, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_embedded_settings_take_everything_from_the_environment() -> None:
    result = settings_process(
        "pastetrader.settings",
        DATABASE_URL="postgres://user@db.example/trader",
        REDIS_URL="redis://cache.example",
        SECRET_KEY="$begins-like-a-variable",
        ALLOWED_HOSTS="a.example,b.example",
    )
    assert result.stdout.splitlines() == [
        "$begins-like-a-variable",
        "False django.db.backends.postgresql channels_redis.core.RedisChannelLayer",
        "['a.example', 'b.example']",
    ], result.stderr


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"ALLOWED_HOSTS": "a.example"}, "SECRET_KEY is not set."),
        ({"SECRET_KEY": "k" * 60}, "ALLOWED_HOSTS is not set."),
        ({"SECRET_KEY": "k" * 60, "ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS contains '*'"),
    ],
)
def test_production_refuses_to_start_without_a_key_and_named_hosts(environment: dict[str, str], sentence: str) -> None:
    result = settings_process("pastetrader.settings.production", **environment)
    assert result.returncode != 0
    assert sentence in result.stderr


@pytest.mark.parametrize(("shared", "warnings"), [({}, ["W002", "W003"]), ({"REDIS_URL": "redis://cache.example"}, [])])
def test_production_whose_processes_share_nothing_is_warned_of(shared: dict[str, str], warnings: list[str]) -> None:
    """Several processes need PostgreSQL; a cache and a channel layer in memory are then one for each of them."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "pastetrader.settings.production",
        "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "CREDENTIAL_KEYS": KEY,
        "ALLOWED_HOSTS": "trader.example",
        "DATABASE_URL": "postgres://user@db.example/trader",
        "REDIS_URL": "",
        **shared,
    }
    command = [sys.executable, "manage.py", "check", "--deploy"]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert re.findall(r"pastetrader\.(\w+)", result.stderr) == warnings


def test_the_generated_key_is_kept_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "var" / "secret_key"
    key = read_or_generate(path)
    assert len(key) >= 50
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_or_generate(path) == key
    assert [entry.name for entry in path.parent.iterdir()] == ["secret_key"]


def test_starts_at_the_same_time_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        for round_ in range(20):
            path = tmp_path / str(round_)
            keys = list(pool.map(read_or_generate, [path] * 8))
            assert len(set(keys)) == 1


def test_the_generated_key_of_secrets_encrypts(tmp_path: Path) -> None:
    path = tmp_path / "credential_keys"
    key = read_or_generate(path, new_credential_key)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Fernet(key).decrypt(Fernet(key).encrypt(b"value")) == b"value"


def checked(*options: str, **chosen: object) -> str:
    """What `manage.py check` says of these settings of ours."""
    with override_settings(PASTETRADER=settings.PASTETRADER | chosen):
        said = io.StringIO()
        try:
            call_command("check", *options, stdout=said, stderr=said)
        except SystemCheckError as error:
            return str(error)
        return said.getvalue()


def test_keys_of_secrets_that_are_none_are_an_error_that_does_not_tell_them() -> None:
    said = checked(CREDENTIAL_KEYS=f"{KEY}, not-a-key-of-anything")
    assert "pastetrader.E020" in said
    assert "no. 2 is none" in said
    assert "not-a-key" not in said
    assert KEY not in said
    assert "no issues" in checked(CREDENTIAL_KEYS=[KEY, KEY])


@pytest.mark.django_db
def test_secrets_without_a_key_are_an_error_of_the_database() -> None:
    assert "no issues" in checked("--database", "default", CREDENTIAL_KEYS="")
    owner = get_user_model().objects.create_user("ada")
    _ = set_secret(NewSecret(name="TOKEN", value="of-a-broker-42"), owner)
    assert "pastetrader.E021" in checked("--database", "default", CREDENTIAL_KEYS="")
    assert "no issues" in checked("--database", "default")


def test_production_takes_keys_of_secrets_from_the_environment_alone(tmp_path: Path) -> None:
    asked = "import django; django.setup(); from django.conf import settings; print(settings.PASTETRADER)"
    environment = {"DJANGO_SETTINGS_MODULE": "pastetrader.settings.production", "CREDENTIAL_KEYS": ""}
    environment |= {"SECRET_KEY": "k" * 60, "ALLOWED_HOSTS": "a.example"}
    command = [sys.executable, "-c", asked]
    told = subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=True
    ).stdout
    assert "'CREDENTIAL_KEYS': ''" in told
