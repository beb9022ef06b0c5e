"""A secret that tools give away in every way is nowhere: not in the database, the log, the API, the pages, Redis."""

import contextlib
import json
import subprocess
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
import redis

from tests import databases, valkey
from tests.server import Server, serving
from tests.spellings import spellings
from tests.watching import messages, watching
from workflows_app.dag import jsontext

pytestmark = pytest.mark.timeout(120)
LEAKS = ("output", "error", "thread", "child", "pydantic", "journal", "log")


class Echo(BaseHTTPRequestHandler):
    """Answers with everything that it was sent."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        answer = json.dumps({"path": self.path, "headers": dict(self.headers), "body": body}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        _ = self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        pass


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def document(name, echo):
    """A node for every leak and every secret; what fails does not end the run."""
    nodes, edges = [{"key": "start", "type": "trigger"}], []
    for secret in ("PLAIN", "AWKWARD"):
        key = f"${{{{ secrets.{secret} }}}}"
        tools = {leak: {"key": key} for leak in LEAKS}
        tools["fetch"] = {
            "url": f"http://ada:${{{{ secrets.PLAIN }}}}@{echo}/?k=${{{{ secrets.PLAIN }}}}",
            "headers": {"X-Key": "${{ secrets.PLAIN }}"},
            "body": {"key": key, "with": f"x{key}y"},
        }
        tools["pass"] = {
            "headers": {"Authorization": f"Bearer {key}"},
            "url": f"https://ada:{key}@x.example/",
            "key": key,
        }
        for leak, inputs in tools.items():
            node = f"{leak}_{secret.lower()}"
            nodes.append(
                {"key": node, "type": "tool", "tool": f"leak.{leak}", "inputs": inputs, "on_error": "continue"}
            )
            edges.append({"from": "start", "to": node})
    nodes.append({"key": "all", "type": "aggregator", "strategy": "merge", "join": "all_done"})
    edges += [{"from": node["key"], "to": "all"} for node in nodes[1:-1]]
    return {"name": name, "nodes": nodes, "edges": edges}


class Sinks(dict):
    """By name, all that came out somewhere."""

    def take(self, name, content):
        self[name] = self.get(name, b"") + (content if isinstance(content, bytes) else str(content).encode())


@contextlib.contextmanager
def monitored(url, sinks):
    """Every command that a Redis-compatible server gets, with its content."""
    client = redis.Redis.from_url(url, socket_timeout=None)
    ready, heard = threading.Event(), []

    def listen():
        with client.monitor() as monitor:
            ready.set()
            for command in monitor.listen():
                if command["command"] == "PING the end":
                    return
                heard.append(command["command"])

    thread = threading.Thread(target=listen)
    thread.start()
    assert ready.wait(10)
    try:
        yield
    finally:
        with redis.Redis.from_url(url) as other:
            other.execute_command("PING", "the end")
        thread.join(10)
        client.close()
        sinks.take("Redis", "\n".join(heard))


# One process instead of several that each load everything. A session is what a browser has that is logged in.
ENTER = """
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.sessions.backends.db import SessionStore
from workflows_app.services.tokens import create_token
user = get_user_model().objects.get(username="admin")
session = SessionStore()
session[SESSION_KEY] = str(user.pk)
session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
session[HASH_SESSION_KEY] = user.get_session_auth_hash()
session.save()
print(session.session_key, create_token("admin"))
"""


@dataclass(frozen=True)
class Visitor:
    """Somebody who may do everything with a site, with a browser and by programs."""

    server: Server
    session: str
    token: str

    @contextlib.contextmanager
    def clients(self):
        bearer = {"Authorization": f"Bearer {self.token}"}
        cookie = {"sessionid": self.session}
        with (
            httpx.Client(base_url=self.server.url, cookies=cookie, timeout=30) as browser,
            httpx.Client(base_url=self.server.api, headers=bearer, timeout=60) as api,
        ):
            yield browser, api


def look_everywhere(visitor, sinks, secrets, echo):
    """Run the workflow on the server, and look at everything that it shows of it."""
    with visitor.clients() as (browser, api):
        for name, value in secrets.items():
            sinks.take("API", api.post("/credentials", json={"name": name, "value": value}).raise_for_status().content)
        workflow = api.post("/workflows", json=document("canary", echo)).json()["id"]
        execution = api.post(f"/workflows/{workflow}/execute", json={}).json()["id"]
        with watching(visitor.server.url, f"/ws/executions/{execution}/", token=visitor.token) as socket:
            sinks.take("WebSocket", "\n".join(jsontext.dumps(message) for message in messages(socket)))
        shown = api.get(f"/executions/{execution}").json()
        assert shown["status"] == "completed", shown
        keys = [node["key"] for node in shown["nodes"]]
        views = ["", "/nodes", "/logs", "/events", *(f"/nodes/{key}" for key in keys)]
        paths = [f"/executions/{execution}{view}" for view in views]
        paths += ["/executions", "/credentials", f"/workflows/{workflow}", f"/workflows/{workflow}/statistics"]
        for path in paths:
            sinks.take("API", api.get(path).raise_for_status().content)
        for form in ("json", "yaml"):
            sinks.take("export", api.get(f"/workflows/{workflow}/document?format={form}").raise_for_status().content)
        page = f"/admin/executions_app/workflowexecution/{execution}/change/"
        views = ["", "live/", "graph/", "tries/", "data/", "log/", "log/download/", *(f"node/{key}/" for key in keys)]
        lists = ["/admin/", "/admin/executions_app/workflowexecution/", "/admin/workflows_app/credential/"]
        lists += ["/admin/workflows_app/auditentry/", f"/admin/workflows_app/workflow/{workflow}/document/"]
        for path in [*(page + view for view in views), *lists]:
            sinks.take("admin", browser.get(path).raise_for_status().content)


def dump(shell, sinks):
    url = shell.environment["DATABASE_URL"]
    if not databases.ON_POSTGRESQL:
        for path in shell.folder.glob("test.sqlite3*"):
            sinks.take("database", path.read_bytes())
        return
    columns = databases.rows(
        url,
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' "
        "AND data_type IN ('text', 'character varying', 'json', 'jsonb')",
    )
    for table, column in columns:
        rows = databases.rows(url, f'SELECT "{column}" FROM "{table}" WHERE "{column}" IS NOT NULL')
        sinks.take("database", "\n".join(str(value) for (value,) in rows))


@pytest.mark.parametrize("masking", ["on", "off"])
def test_a_secret_that_tools_give_away_in_every_way_is_nowhere(shell, tmp_path, echo, figure, masking):
    """With the masks off it is everywhere: the control."""
    secrets = {"PLAIN": f"S3CR3T-{uuid.uuid4()}", "AWKWARD": f"S3CR3T/\"{uuid.uuid4()}'&é \\<"}
    sinks = Sinks()
    with valkey.serving() as redis_url:
        shell.environment |= {
            "DJANGO_SETTINGS_MODULE": "tests.leaky.settings",
            "CREDENTIAL_KEYS": "YW5vdGhlciBrZXksIG9mIHRoaXJ0eSB0d28gYnl0ZXM=",
            "REDIS_URL": redis_url,
            "MASKING": masking,
        }
        session, token = shell("shell", "-v", "0", "-c", ENTER).out.split()
        with monitored(redis_url, sinks), serving(tmp_path, shell.environment) as server:
            look_everywhere(Visitor(server, session, token), sinks, secrets, echo)
            # Tracebacks of the tools are in its log.
            command = shell.start("run_workflow", "canary", "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            said = command.communicate(timeout=50)
            assert command.returncode == 0, said
            sinks.take("command", "".join(said))
        sinks.take("log", server.log.read_bytes())
        dump(shell, sinks)
    assert sinks.keys() == {"database", "log", "API", "WebSocket", "admin", "export", "command", "Redis"}
    forms = {form.encode() for value in secrets.values() for form in spellings(value)}
    hits = {name: sum(form in content for form in forms) for name, content in sinks.items()}
    if masking == "off":
        # A definition has the reference alone, whatever is masked.
        assert [name for name, count in hits.items() if not count] == ["export"]
        return
    # A part of it would be a hit, too.
    parts = [secrets["PLAIN"][start : start + 12].encode() for start in range(len(secrets["PLAIN"]) - 11)]
    hits = {name: hits[name] + sum(part in content for part in parts) for name, content in sinks.items()}
    assert hits == dict.fromkeys(sinks, 0)
    assert all(b"***" in sinks[name] for name in ("database", "log", "API", "admin", "command"))
    size = sum(map(len, sinks.values())) // 1024
    figure(
        f"canary: {len(LEAKS) + 2} leaks x 2 secrets, {len(forms)} spellings, {size} KiB in {len(sinks)} sinks, hits 0"
    )
