"""`python -m pastetrader.serve`, which `make serve` runs: a password that works, a port that is taken."""

import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from http.cookiejar import CookieJar
from urllib.parse import urlencode

import pytest

from pastetrader.serve import address, demo_password, prepare
from tests.acceptance.conftest import ROOT
from tests.eventually import eventually

pytestmark = pytest.mark.one_database

COMMAND = [sys.executable, "-m", "pastetrader.serve", "--port"]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def logs_in(url, username, password):
    """Whether a browser gets to the index of the admin with this password."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    with opener.open(f"{url}login/?next=/admin/") as page:
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.read().decode())
    assert token is not None
    data = {"username": username, "password": password, "csrfmiddlewaretoken": token[1], "next": "/admin/"}
    with opener.open(f"{url}login/", urlencode(data).encode()) as page:
        return page.url == url and "pt-dashboard" in page.read().decode()


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5):  # noqa: S310
            return True
    except OSError:
        return False


def test_it_prints_an_address_and_a_password_that_works(shell):
    url = f"http://127.0.0.1:{(port := free_port())}/admin/"
    log = shell.folder / "serve.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [*COMMAND, str(port)], env=shell.environment, cwd=ROOT, stdout=output, stderr=output, text=True
        )
    try:
        _ = eventually(lambda: answers(url) or process.poll() is not None, seconds=40)
        told = log.read_text()
        assert f"PasteTrader is at {url}\n" in told
        found = re.search(r"Log in as demo with the password (\S+)\n", told)
        assert found is not None, told
        assert logs_in(url, "demo", found[1])
        assert not logs_in(url, "demo", f"{found[1]}x")
        assert (ROOT / "var" / "demo_password").stat().st_mode & 0o077 == 0
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/static/executions_app/list.js") as script:
            assert script.headers["Content-Type"].startswith(("text/javascript", "application/javascript"))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def test_a_taken_port_is_one_line(shell):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [*COMMAND, str(port)], env=shell.environment, cwd=ROOT, capture_output=True, text=True, timeout=50
        )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        f"Port {port} of 127.0.0.1 cannot be used: address already in use. "
        f"Stop what uses it, or choose another one, such as PORT={port + 1}.\n"
    )


def test_a_password_is_drawn_once_for_an_installation_and_for_its_owner_alone(tmp_path):
    path = tmp_path / "var" / "demo_password"
    drawn = demo_password(path)
    assert len(drawn) >= 16
    assert demo_password(path) == drawn
    path.chmod(0o644)
    assert demo_password(path) == drawn
    assert path.stat().st_mode & 0o777 == 0o600
    path.unlink()
    assert demo_password(path) != drawn
    path.write_text("")
    assert demo_password(path)


@pytest.mark.django_db
def test_the_printed_password_works_at_every_start(django_user_model):
    prepare("first password")
    user = django_user_model.objects.get(username="demo")
    kept = user.password
    prepare("first password")
    user.refresh_from_db()
    # The same hash: whoever is logged in stays so.
    assert user.password == kept
    user.set_password("another one")
    user.save()
    prepare("first password")
    user.refresh_from_db()
    assert user.check_password("first password")
    assert user.is_superuser


@pytest.mark.django_db
def test_the_demo_belongs_to_the_first_superuser_so_that_its_names_are_clear(django_user_model, settings):
    settings.PASTETRADER = {**settings.PASTETRADER, "DEMO": ROOT / "demo"}
    root = django_user_model.objects.create_superuser("root", password=None)
    prepare("password")
    prepare("password")
    assert root.workflows.filter(name="slow").count() == 1
    assert not django_user_model.objects.get(username="demo").workflows.exists()


@pytest.mark.parametrize(
    ("host", "name"), [("127.0.0.1", "127.0.0.1"), ("::", "localhost"), ("::1", "[::1]"), ("box", "box")]
)
def test_the_address_is_one_that_a_browser_can_open(host, name):
    assert address(host, 8000) == f"http://{name}:8000/admin/"
