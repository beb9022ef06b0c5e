"""Attacks on WebSockets, performed against a real server; beside each something harmless that succeeds."""

import json
import os
import socket as sockets
import time
from base64 import b64encode
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.acceptance.test_sockets import NAP, Site, running_site
from tests.eventually import eventually
from tests.server import serving
from tests.watching import Picture, closed_with, messages, watching

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def site(shell, tmp_path):
    with running_site(shell, tmp_path) as site:
        yield site


@pytest.fixture
def napping(site):
    return site.run(site.workflow(NAP))


def session_of(site, name):
    """The cookie of somebody who has logged in, as a browser sends it."""
    browser = httpx.Client(base_url=site.server.url, follow_redirects=True)
    page = browser.get("/admin/login/")
    form = {"username": name, "password": "pw", "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
    assert page.status_code == 200
    browser.post("/admin/login/", data=form, headers={"Referer": site.server.url})
    return browser, f"sessionid={browser.cookies['sessionid']}"


def test_whoever_may_not_watch_is_told_so_after_the_handshake_and_hears_nothing(site, napping, figure):
    site.user("stranger")
    site.user("viewer", "viewers")
    listed = site.api("GET", "/workflows?search=nap").json()["items"][0]["id"]
    site.api("PUT", f"/workflows/{listed}/shares", [{"group": "viewers", "role": "viewer"}])
    used = site.api("POST", "/tickets").json()["ticket"]
    expired = site.token_of("admin", "--days", "1")
    script = (
        "from workflows_app.models import ApiToken;"
        f"ApiToken.objects.filter(prefix={expired[:11]!r}).update(expires_at='2020-01-01T00:00Z')"
    )
    assert site.shell("shell", "-v", "0", "-c", script).code == 0
    one, every = f"/ws/executions/{napping}/", "/ws/executions/"
    home = {"Origin": site.server.url}
    with watching(site.server.url, f"{one}?ticket={used}", **home) as socket:
        assert next(messages(socket))["type"] == "hello"
    browser, viewer_cookie = session_of(site, "viewer")
    browser.close()
    matrix = {
        ("anonymous", one): (4401, home),
        ("anonymous", every): (4401, home),
        ("garbage token", one): (4401, {"token": "pt_00000000_nonsense"}),
        ("expired token", one): (4401, {"token": expired}),
        ("token without scope", one): (4403, {"token": site.token_of("admin", "--scopes", "run")}),
        ("token without scope", every): (4403, {"token": site.token_of("admin", "--scopes", "run")}),
        ("stranger", one): (4404, {"token": site.token_of("stranger")}),
        ("stranger", every): (None, {"token": site.token_of("stranger")}),
        ("viewer", one): (None, {"token": site.token_of("viewer")}),
        ("viewer's session", one): (None, {**home, "Cookie": viewer_cookie}),
        ("owner", one): (None, {"token": site.token}),
        ("used ticket", f"{one}?ticket={used}"): (4401, home),
        ("made-up ticket", f"{one}?ticket=x"): (4401, home),
        ("basic", one): (4401, {"Authorization": "Basic YWRtaW46cHc="}),
        ("made-up session", one): (4401, {**home, "Cookie": "sessionid=abc"}),
    }
    for (actor, path), (code, options) in matrix.items():
        with watching(site.server.url, path, **options) as socket:
            if code is None:
                assert next(messages(socket))["type"] == "hello", actor
            else:
                assert (actor, closed_with(socket)) == (actor, (code, []))
    figure(f"sockets x actors = {len(matrix)}, deviations 0")


FOREIGN = (
    "http://evil.example", "null", "http://127.0.0.1.evil.example", "http://evil.127.0.0.1", "", "file://",
    "//127.0.0.1",
)  # fmt: skip


def test_a_foreign_page_gets_no_socket(site, napping):
    path = f"/ws/executions/{napping}/"
    for origin in FOREIGN:
        with pytest.raises(InvalidStatus) as refused, watching(site.server.url, path, Origin=origin):
            pytest.fail(f"{origin!r} got one")
        # Without a host the server itself says no.
        assert refused.value.response.status_code in {400, 403}, origin
        # Not even with a token: a page that has stolen one is still a foreign page.
        with pytest.raises(InvalidStatus), watching(site.server.url, path, token=site.token, Origin=origin):
            pytest.fail(f"{origin!r} got one with a token")
    with watching(site.server.url, path, token=site.token, Origin=site.server.url) as socket:
        assert next(messages(socket))["type"] == "hello"


def test_a_program_without_a_page_needs_a_header(site, napping):
    path = f"/ws/executions/{napping}/"
    ticket = site.api("POST", "/tickets").json()["ticket"]
    for address in (path, f"{path}?ticket={ticket}"):
        with pytest.raises(InvalidStatus) as refused, watching(site.server.url, address):
            pass
        assert refused.value.response.status_code == 403


def test_whoever_may_no_longer_watch_is_cut_off_within_seconds(site, napping):
    site.user("viewer", "viewers")
    workflow = site.api("GET", "/workflows?search=nap").json()["items"][0]["id"]
    site.api("PUT", f"/workflows/{workflow}/shares", [{"group": "viewers", "role": "viewer"}])
    token = site.token_of("viewer")
    browser, cookie = session_of(site, "viewer")
    revoke = (
        "from django.utils import timezone; from workflows_app.models import ApiToken;"
        "ApiToken.objects.filter(user__username='viewer').update(revoked_at=timezone.now())"
    )

    def log_out():
        page = browser.get("/admin/password_change/")
        browser.post(
            "/admin/logout/",
            data={"csrfmiddlewaretoken": browser.cookies["csrftoken"]},
            headers={"Referer": site.server.url},
        )
        browser.close()
        assert page.status_code == 200

    cases = [
        ("logged out", {"Origin": site.server.url, "Cookie": cookie}, log_out, 4401),
        ("revoked", {"token": token}, lambda: site.shell("shell", "-v", "0", "-c", revoke), 4401),
    ]
    ticket = site.api("POST", "/tickets", token=token).json()["ticket"]
    with watching(site.server.url, f"/ws/executions/{napping}/?ticket={ticket}", Origin=site.server.url) as by_ticket:
        assert next(messages(by_ticket))["type"] == "hello"
        cut_off(site, napping, cases)
        # What a token's ticket has opened ends with the token.
        assert closed_with(by_ticket, 10)[0] == 4401
    with site.watch(napping, token=site.token_of("viewer")) as socket:
        said = messages(socket)
        assert [next(said)["type"] for _ in range(2)] == ["hello", "snapshot"]
        site.api("PUT", f"/workflows/{workflow}/shares", [])
        began = time.monotonic()
        assert closed_with(socket, 10)[0] == 4403
        assert time.monotonic() - began < 5


def cut_off(site, execution, cases):
    for what, options, act, code in cases:
        with site.watch(execution, **{"token": None, **options}) as socket:
            said = messages(socket)
            assert [next(said)["type"] for _ in range(2)] == ["hello", "snapshot"]
            act()
            began = time.monotonic()
            assert (what, closed_with(socket, 10)[0]) == (what, code)
            assert time.monotonic() - began < 5


def test_frames_that_are_too_large_and_floods_end_the_socket(site, napping):
    with site.watch(napping) as socket:
        socket.send(json.dumps({"type": "resume", "after": "x" * 17_000}))
        assert closed_with(socket)[0] == 1009
    with site.watch(napping) as socket:
        socket.send("x" * (2 * 1024 * 1024))
        assert closed_with(socket)[0] == 1009
    with site.watch(napping) as socket:
        try:
            for _ in range(100_000):
                socket.send('{"type": "ping"}')
        except Exception:  # noqa: BLE001, S110 - it is to be closed while it sends
            pass
        assert closed_with(socket)[0] == 4429
    assert httpx.get(f"{site.server.url}/livez").status_code == 200


def test_one_user_cannot_take_all_sockets(shell, tmp_path):
    with running_site(shell, tmp_path) as site:
        execution = site.run(site.workflow(NAP))
        open_ones = [site.watch(execution) for _ in range(101)]
        try:
            opened = [one.__enter__() for one in open_ones]
            firsts = [next(messages(socket), None) for socket in opened]
            assert [first is None for first in firsts].count(True) == 1
            assert 4429 in {socket.protocol.close_code for socket in opened}
        finally:
            for one in open_ones:
                one.__exit__(None, None, None)
        eventually(lambda: "live_subscribers 0.0" in httpx.get(f"{site.server.url}/metrics").text)


LOUD = """name: loud
nodes:
  - {key: start, type: trigger}
%s
edges:
%s
"""


def loud(nodes):
    """A workflow whose journal has 8 kB for each node."""
    keys = [f"n{number}" for number in range(nodes)]
    tool = 'type: tool, tool: core.log, inputs: {message: "${{ input.text }}"}'
    rows = "\n".join(f"  - {{key: {key}, {tool}}}" for key in keys)
    return LOUD % (rows, "\n".join(f"  - {{from: start, to: {key}}}" for key in keys))


def test_a_slow_client_is_told_to_come_back_and_misses_nothing(site):
    workflow = site.workflow(loud(1500))
    execution = site.run(workflow, {"input": {"text": "x" * 60_000}})
    picture = Picture()
    with site.watch(execution, is_slow=True) as socket:
        assert next(messages(socket))["type"] == "hello"
        # It reads nothing while 12 MB come.
        eventually(
            lambda: site.api("GET", f"/executions/{execution}/events?limit=1&after=4000").json()["items"], seconds=50
        )
        told = 0
        for message in messages(socket):
            if message["type"] == "resync_required":
                told += 1
                socket.send(json.dumps({"type": "resume", "after": picture.seq}))
            picture.take(message)
            if picture.end is not None:
                break
    assert told
    assert picture.end == {"v": 1, "type": "end", "seq": picture.seq, "status": "completed"}


READERS = 40


def growth(site, execution, *, until, seconds):
    """How many MiB clients that read nothing cost a server, each of which asked for some 3 MB.

    From when the server has taken all of them it has so many seconds to grow, or until it has grown so much.
    """
    # What one that reads needs is there before.
    with site.watch(execution, after=400) as socket:
        assert [message["type"] for message in messages(socket)][-1] == "end"
    before = resident(site)
    slow = [silent(site, execution) for _ in range(READERS)]
    eventually(lambda: f"live_subscribers {READERS}.0" in httpx.get(f"{site.server.url}/metrics").text, seconds=50)
    deadline, most = time.monotonic() + seconds, resident(site)
    while time.monotonic() < deadline and most - before < until * 2**20:
        time.sleep(0.1)
        most = max(most, resident(site))
    for one in slow:
        one.close()
    assert httpx.get(f"{site.server.url}/livez").status_code == 200
    return (most - before) / 2**20


def test_slow_readers_cost_no_memory(shell, tmp_path, figure):
    with running_site(shell, tmp_path) as site:
        execution = site.run(site.workflow(loud(450)), {"input": {"text": "x" * 60_000}})
        eventually(lambda: site.execution(execution)["status"] == "completed", seconds=50)
    # In servers that ran nothing: what a run has given back would hide what readers take.
    with running_site(shell, tmp_path) as site:
        paced = growth(site, execution, until=20, seconds=8)
    with serving(tmp_path, shell.environment, "tests.acceptance.unpaced_site:application") as server:
        unpaced = growth(Site(server, shell), execution, until=paced + 12, seconds=60)
    assert paced < 20
    assert unpaced >= paced + 12
    figure(f"forty slow readers of 3 MB each: {paced:.0f} MiB more in the server, without pace {unpaced:.0f} MiB")


def silent(site, execution):
    """A client that asks for everything and reads nothing."""
    url = urlsplit(site.server.url)
    connection = sockets.socket()
    connection.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    connection.connect((url.hostname, url.port))
    key = b64encode(os.urandom(16)).decode()
    request = (
        f"GET /ws/executions/{execution}/?after=400 HTTP/1.1\r\nHost: {url.netloc}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        f"Authorization: Bearer {site.token}\r\n\r\n"
    )
    connection.sendall(request.encode())
    return connection


def resident(site):
    """Bytes of the server in memory."""
    status = Path(f"/proc/{site.server.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024
