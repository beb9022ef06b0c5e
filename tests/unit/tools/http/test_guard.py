"""No workflow reaches what is not public: spellings, names, redirects, resolvers that change their minds."""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpcore
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.http_server import Connection, Request, json, plain, serving
from tests.unit.tools.http.conftest import Call
from workflows_app.tools.errors import NodeError, NodeInputError
from workflows_app.tools.http import connections, messages
from workflows_app.tools.http.addresses import AllowedHost
from workflows_app.tools.http.connections import network
from workflows_app.tools.http.errors import HttpConnectError, HttpError, HttpForbidden, HttpResponseError
from workflows_app.tools.http.limits import HttpLimits, configured

# Everything here leads to the machine itself for some resolver, or to a neighbour that nobody should ask.
HOSTS = """
127.0.0.1 127.1 127.0.1 0 0.0.0.0 0.0.0 127.255.255.254 2130706433 0x7f000001 0x7f.1 0x7f.0.0.1 017700000001 0177.0.0.1
0177.1 127.0x1 127.0.0.0x1 000127.0.0.1 127.0.0.01 127.0.0.1. 4294967295 3232235521 0xa9fea9fe 2852039166 0xA9.254.43518
0251.0376.0251.0376 169.254.169.254 169.254.170.2 100.100.100.200 168.63.129.16 192.0.0.192 10.0.0.1 172.16.0.1
192.168.1.1 100.64.0.1 198.18.0.1 203.0.113.1 224.0.0.1 240.0.0.1 255.255.255.255
[::] [::1] [0:0:0:0:0:0:0:1] [::127.0.0.1] [::ffff:127.0.0.1] [::ffff:7f00:1] [::ffff:169.254.169.254]
[::ffff:0:127.0.0.1] [64:ff9b::127.0.0.1] [64:ff9b::a9fe:a9fe] [64:ff9b:1::7f00:1] [2002:7f00:1::] [2001:0:7f00:1::]
[fd00:ec2::254]
[fd20:ce::254] [fe80::1] [fec0::1] [ff02::1] [2001:db8::1] [3fff::1] [100::1]
localhost LOCALHOST localhost. a.localhost ip6-localhost metadata metadata.google.internal METADATA.google.internal.
metadata.goog instance-data instance-data.ec2.internal metadata.azure.internal kubernetes.default.svc
\uff11\uff12\uff17.\uff10.\uff10.\uff11 \u2460\u2461\u2466.0.0.1 127\u30020\u30020\u30021 loc\u00e1lhost
127%2e0.0.1 %31%32%37.0.0.1 ok@127.0.0.1 ok:ok@127.0.0.1 name.example@127.0.0.1 127.0.0.1%00.name.example
name.example\\@127.0.0.1 [fe80::1%25lo]
""".split()
OTHERS = [
    "file:///etc/passwd", "gopher://127.0.0.1:{port}/_x", "ftp://127.0.0.1:{port}/", "unix:/var/run/docker.sock",
    "http+unix://%2fvar%2frun%2fdocker.sock/", "data:text/plain,x", "ws://127.0.0.1:{port}/", "//127.0.0.1:{port}/",
    "http:127.0.0.1:{port}", "http:///127.0.0.1:{port}", "http://name.example:5432/", "http://name.example:6379/",
    "http://name.example/\r\nHost: 127.0.0.1", "http://127.0.0.1:{port}\t/", " http://127.0.0.1:{port}/",
    "http://name.example:{port}#@8.8.8.8/", "http://8.8.8.8:22/", "http://[::1]:{port}/", "HTTP://LOCALHOST:{port}/",
]  # fmt: skip


def corpus(port: int) -> list[str]:
    return [f"http://{host}:{port}/" for host in HOSTS] + [text.format(port=port) for text in OTHERS]


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that were dialled. Only the loopback is really there; every name is one of its names."""
    addresses: list[str] = []
    dial = network.dial

    async def resolve(host: str, port: int) -> Sequence[str]:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, flags=socket.AI_NUMERICHOST)
            return [str(entry[4][0]) for entry in found][:1]
        except OSError:
            return ["127.0.0.1"]

    async def recorded(address: str, port: int, seconds: float) -> connections.Stream:
        addresses.append(address)
        if address in ("127.0.0.1", "0.0.0.0", "::ffff:127.0.0.1"):  # noqa: S104 - where a guard fails it leads here
            return await dial(address, port, seconds)
        raise httpcore.ConnectError

    monkeypatch.setattr(network, "resolve", resolve)
    monkeypatch.setattr(network, "dial", recorded)
    return addresses


@pytest.fixture
def unguarded(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (connections, messages):
        monkeypatch.setattr(module, "check_host", lambda host, port, allowed: None)
    monkeypatch.setattr(connections, "check_address", lambda host, address, port, allowed: None)


async def try_all(call: Call, urls: Sequence[str]) -> None:
    for url in urls:
        try:
            _ = await call(url)
        except NodeError:
            continue


async def test_no_address_of_the_corpus_is_dialled(call: Call, dialled: list[str], figure: Callable[..., None]) -> None:
    async with serving(plain()) as server:
        urls = corpus(server.port)
        for url in urls:
            with pytest.raises((HttpForbidden, NodeInputError)):
                _ = await call(url)
    assert (server.connections, dialled, len(urls) >= 60) == (0, [], True)
    figure(f"HTTP guard: forbidden addresses tried {len(urls)}, connections {server.connections}")


@pytest.mark.usefixtures("unguarded")
async def test_without_the_guard_they_are_reached(call: Call, dialled: list[str], figure: Callable[..., None]) -> None:
    async with serving(plain()) as server:
        await try_all(call, corpus(server.port))
    assert server.connections > 20
    assert {"127.0.0.1", "169.254.169.254", "::1", "fd00:ec2::254", "10.0.0.1"} <= set(dialled)
    figure(f"HTTP guard switched off: addresses dialled {len(dialled)}, connections {server.connections}")


def resolving(monkeypatch: pytest.MonkeyPatch, answers: Callable[[], Sequence[str]]) -> list[str]:
    """A resolver that gives these answers in turn; the public addresses that were dialled: none of them answers."""
    public: list[str] = []
    dial = network.dial

    async def resolve(host: str, port: int) -> Sequence[str]:
        return answers()

    async def recorded(address: str, port: int, seconds: float) -> connections.Stream:
        if ipaddress.ip_address(address).is_global:
            public.append(address)
            raise httpcore.ConnectError
        return await dial(address, port, seconds)

    monkeypatch.setattr(network, "resolve", resolve)
    monkeypatch.setattr(network, "dial", recorded)
    return public


REBINDINGS: list[list[list[str]]] = [
    [["93.184.216.34"], ["127.0.0.1"]],
    [["93.184.216.34", "127.0.0.1"]],
    [["127.0.0.1", "93.184.216.34"]],
    [["127.0.0.1"]],
    [["::1"], ["127.0.0.1"]],
    [["2606:4700:4700::1111", "::ffff:127.0.0.1"]],
    [["2606:4700:4700::1111"], ["::ffff:127.0.0.1"]],
    [["64:ff9b::7f00:1"], ["127.0.0.1"]],
]


async def rebound(call: Call, monkeypatch: pytest.MonkeyPatch, trials: int) -> tuple[int, int]:
    """Connections to the loopback, and to public addresses."""
    turns: list[list[str]] = []
    number = 0

    def answers() -> Sequence[str]:
        return turns.pop(0) if len(turns) > 1 else turns[0]

    public = resolving(monkeypatch, answers)
    async with serving(plain(200, b"internal")) as server:
        for number in range(trials):
            turns[:] = REBINDINGS[number % len(REBINDINGS)]
            try:
                _ = await call(f"http://rebind-{number}.example:{server.port}/")
            except HttpError:
                continue
        return server.connections, len(public)


async def test_a_name_that_changes_its_address_never_leads_to_the_loopback(
    call: Call, monkeypatch: pytest.MonkeyPatch, figure: Callable[..., None]
) -> None:
    connected, public = await rebound(call, monkeypatch, 1000)
    # Each time that the first answer was public it was dialled: nothing is looked up twice.
    assert (connected, public) == (0, 250)
    figure(f"rebinding trials=1000 connections to loopback={connected}")


@pytest.mark.usefixtures("unguarded")
async def test_without_the_guard_it_does(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    connected, _ = await rebound(call, monkeypatch, 40)
    assert connected > 10


async def test_an_address_that_does_not_answer_is_followed_by_the_next(
    call: Call, limited: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = resolving(monkeypatch, lambda: ["2606:4700:4700::1111", "93.184.216.34", "127.0.0.1"])
    limited("service.example")
    async with serving(plain(200, b"x", content_type="text/plain")) as server:
        assert (await call(f"http://service.example:{server.port}/"))["body"] == "x"
        assert server.requests[0].headers["host"] == f"service.example:{server.port}"
    assert tried == ["2606:4700:4700::1111", "93.184.216.34"]


async def test_a_name_that_nobody_knows_is_an_error_that_may_pass(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(network, "resolve", resolve)
    with pytest.raises(HttpConnectError) as caught:
        _ = await call("http://nobody.example/")
    assert caught.value.retryable


async def test_the_environment_chooses_no_proxy_and_no_password(
    call: Call, limited: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    _ = netrc.write_text("default login ada password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    async with serving(plain()) as proxy, serving(plain()) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        _ = await call(server.url)
    assert (proxy.connections, server.connections) == (0, 1)
    assert "authorization" not in server.requests[0].headers


def redirect(to: str, status: int = 302) -> bytes:
    return plain(status, location=to)


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize(
    "target",
    ["http://127.0.0.2:{port}/", "http://localhost:{port}/", "//[::1]:{port}/", "http://169.254.169.254/", "file:///etc/passwd",
     "http://ok@127.0.0.1:{port}/", "http://2130706433:{port}/", "gopher://127.0.0.1:{port}/", "http://127.0.0.1:6379/"],
)  # fmt: skip
async def test_each_hop_of_a_redirect_is_checked(call: Call, target: str, dialled: list[str]) -> None:
    async def answer(request: Request, connection: Connection) -> None:
        connection.write(redirect(target.format(port=server.port)) if request.target == "/" else plain())

    async with serving(answer) as server:
        with pytest.raises(HttpForbidden):
            _ = await call(f"{server.url}/", follow_redirects=5)
    assert dialled == ["127.0.0.1"]


@pytest.mark.usefixtures("limited")
async def test_redirects_are_followed_as_often_as_the_node_says(call: Call) -> None:
    async def answer(request: Request, connection: Connection) -> None:
        number = int(request.target.removeprefix("/"))
        connection.write(redirect(f"/{number + 1}"))

    async with serving(answer) as server:
        with pytest.raises(HttpResponseError, match="redirect more than 3 times"):
            _ = await call(f"{server.url}/0", follow_redirects=3)
        assert len(server.requests) == 4


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize(
    ("status", "method", "then", "body"),
    [(301, "POST", "GET", b""), (302, "POST", "GET", b""), (303, "PUT", "GET", b""), (303, "HEAD", "HEAD", b""),
     (302, "PUT", "PUT", b"x"), (307, "POST", "POST", b"x"), (308, "PATCH", "PATCH", b"x")],
)  # fmt: skip
async def test_the_method_after_a_redirect(call: Call, status: int, method: str, then: str, body: bytes) -> None:
    async def answer(request: Request, connection: Connection) -> None:
        connection.write(redirect("/there?a=1#part", status) if request.target == "/" else plain())

    async with serving(answer) as server:
        inputs = {} if method == "HEAD" else {"body": "x"}
        found = await call(f"{server.url}/", method=method, follow_redirects=1, **inputs)
        assert found["url"] == f"{server.url}/there?a=1"
    assert (server.requests[1].method, server.requests[1].body) == (then, body)


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize("is_other", [True, False])
@pytest.mark.parametrize("kind", ["redirect", "page"])
async def test_credentials_stay_at_the_host_that_they_are_for(call: Call, is_other: bool, kind: str) -> None:
    async def answer(request: Request, connection: Connection) -> None:
        to = f"{other.url if is_other else ''}/there"
        first = redirect(to, 307) if kind == "redirect" else json("[]", link=f"<{to}>; rel=next")
        connection.write(first if request.target == "/" else json("[]"))

    async with serving(json("[]")) as other, serving(answer) as server:
        _ = await call(
            f"{server.url}/",
            follow_redirects=1,
            auth={"bearer": "secret"},
            headers={"X-Api-Key": "secret", "Cookie": "secret", "Accept": "application/json"},
            **({"pagination": {"link": True}} if kind == "page" else {}),
        )
        last = (other if is_other else server).requests[-1]
    secrets = {name for name, value in last.headers.items() if "secret" in value}
    assert secrets == (set() if is_other else {"authorization", "x-api-key", "cookie"})
    assert last.headers["accept"] == "application/json"
    assert last.headers["host"] == f"127.0.0.1:{(other if is_other else server).port}"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of `service.example` that signs itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "service.example")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("service.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = tmp_path_factory.mktemp("tls") / "service.pem"
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _ = path.write_bytes(made.public_bytes(encoding) + private)
    return path


async def test_the_name_is_kept_for_the_certificate_and_the_host(
    call: Call, monkeypatch: pytest.MonkeyPatch, certificate: Path
) -> None:
    _ = resolving(monkeypatch, lambda: ["127.0.0.1"])
    named: list[Any] = []
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    tls.sni_callback = lambda _socket, name, _context: named.append(name)
    allowed = (AllowedHost.parse("service.example"), AllowedHost.parse("other.example"))
    async with serving(redirect("http://service.example/"), tls) as server:
        configured.limits = HttpLimits(allowed=allowed, ca_file=str(certificate))
        found = await call(f"https://service.example:{server.port}/", expect=[302])
        with pytest.raises(HttpForbidden, match="from https to http"):
            _ = await call(f"https://service.example:{server.port}/", follow_redirects=1)
        with pytest.raises(HttpConnectError, match="certificate is not valid"):
            _ = await call(f"https://other.example:{server.port}/")
        configured.limits = HttpLimits(allowed=allowed)
        with pytest.raises(HttpConnectError, match="certificate is not valid"):
            _ = await call(f"https://service.example:{server.port}/")
    assert (found["status"], server.requests[0].headers["host"]) == (302, f"service.example:{server.port}")
    assert named[:1] == ["service.example"]
