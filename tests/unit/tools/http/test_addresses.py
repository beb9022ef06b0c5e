"""Which addresses are public, and the syntax of the allow-list."""

from ipaddress import ip_address

import pytest

from workflows_app.tools.http.addresses import (
    REFUSED_PORTS,
    AllowedHost,
    AllowedHostError,
    check_address,
    check_host,
    is_public,
)
from workflows_app.tools.http.errors import HttpForbidden

NOT_PUBLIC = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 100.127.255.255 127.0.0.1 127.255.255.254
169.254.0.1 169.254.169.254 169.254.170.2 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192 192.0.2.1 192.31.196.1
192.52.193.1 192.88.99.1 192.168.0.1 192.175.48.1 198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.9 224.0.0.1
239.255.255.255 240.0.0.1 255.255.255.255 168.63.129.16
:: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:169.254.169.254 ::ffff:8.8.8.8 ::ffff:0:127.0.0.1 64:ff9b::7f00:1
64:ff9b::a9fe:a9fe 64:ff9b:1::1 100::1 2001::1 2001:0:7f00:1:: 2001:2::1 2001:10::1 2001:20::1 2001:db8::1
2002:7f00:1:: 2002:a9fe:a9fe:: 2620:4f:8000::1 3fff::1 5f00::1 fc00::1 fd00:ec2::254 fd20:ce::254 fe80::1 fe80::1%1
fec0::1 ff02::1 ff0e::1 4000::1 e000::1
""".split()
PUBLIC = """
1.1.1.1 8.8.8.8 93.184.216.34 100.63.255.255 100.128.0.1 172.15.255.255 172.32.0.1 192.167.255.255 198.17.255.255
198.20.0.0 223.255.255.255 168.63.129.15 2001:4860:4860::8888 2606:4700:4700::1111 2a00:1450:4001::1 2003::1
""".split()


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not is_public(ip_address(address))
    with pytest.raises(HttpForbidden, match="not public"):
        check_address("name.example", address, 443, ())


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_not(address: str) -> None:
    assert is_public(ip_address(address))
    check_address("name.example", address, 443, ())


@pytest.mark.parametrize("port", sorted(REFUSED_PORTS))
def test_ports_of_internal_services_are_refused_also_of_public_hosts(port: int) -> None:
    for check in (
        lambda: check_host("name.example", port, ()),
        lambda: check_address("name.example", "8.8.8.8", port, ()),
    ):
        with pytest.raises(HttpForbidden, match=f"Port {port}"):
            check()


@pytest.mark.parametrize(
    ("entry", "host", "address", "port", "passes"),
    [
        ("127.0.0.1:8080", "127.0.0.1", "127.0.0.1", 8080, True),
        ("127.0.0.1:8080", "127.0.0.1", "127.0.0.1", 8081, False),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1", 8081, True),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1", 5432, False),
        ("127.0.0.1:5432", "127.0.0.1", "127.0.0.1", 5432, True),
        ("127.0.0.1", "localhost", "127.0.0.1", 80, False),
        ("localhost", "localhost", "127.0.0.1", 80, True),
        ("localhost", "LOCALHOST.", "127.0.0.1", 80, True),
        ("localhost", "evil.localhost", "127.0.0.1", 80, False),
        ("10.0.0.0/8", "10.1.2.3", "10.1.2.3", 80, True),
        ("10.0.0.0/8", "name.example", "10.1.2.3", 80, True),
        ("10.0.0.0/8", "name.example", "11.0.0.1", 80, True),
        ("10.0.0.0/8", "name.example", "192.168.0.1", 80, False),
        ("10.0.0.0/8:9200", "name.example", "10.1.2.3", 9200, True),
        ("10.0.0.0/8:9200", "name.example", "8.8.8.8", 9200, False),
        ("intranet.example", "intranet.example", "10.1.2.3", 80, True),
        ("Intranet.Example.", "intranet.example", "10.1.2.3", 80, True),
        ("intranet.example", "intranet.example.evil.example", "10.1.2.3", 80, False),
        ("intranet.example", "xintranet.example", "10.1.2.3", 80, False),
        ("intranet.example", "intranet.example", "10.1.2.3", 6379, False),
        ("intranet.example:6379", "intranet.example", "10.1.2.3", 6379, True),
        ("[::1]:8080", "::1", "::1", 8080, True),
        ("::1", "::1", "::1", 80, True),
        ("fd00::/8", "fd12::1", "fd12::1", 80, True),
        ("[fd00::/8]:81", "fd12::1", "fd12::1", 80, False),
        ("0.0.0.0/0", "::ffff:127.0.0.1", "::ffff:127.0.0.1", 80, False),
    ],
)
def test_an_entry_opens_what_it_says_and_nothing_else(
    entry: str, host: str, address: str, port: int, passes: bool
) -> None:
    allowed = (AllowedHost.parse(entry),)

    def check() -> None:
        check_host(host, port, allowed)
        check_address(host, address, port, allowed)

    if passes:
        check()
    else:
        with pytest.raises(HttpForbidden):
            check()


@pytest.mark.parametrize(
    "entry",
    ["", "*", "http://a.example", "a.example:0", "a.example:99999", "a.example:x", "a b", "10.0.0.1/8", "127.1",
     "[a]:1", "0x7f000001", "a.example/path", "user@a.example", "a..example"],
)  # fmt: skip
def test_an_entry_that_is_none_is_told(entry: str) -> None:
    with pytest.raises(AllowedHostError, match="is no host, address or network"):
        _ = AllowedHost.parse(entry)
