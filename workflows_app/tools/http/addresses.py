"""The SSRF guard: which hosts, addresses and ports a workflow may reach.

Only public unicast addresses, unless the settings allow more. What is not known to be public is refused: of IPv6
that is all outside of 2000::/3, and with it every form that carries an IPv4 address inside.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Self

from workflows_app.dag.wording import quoted
from workflows_app.tools.http.errors import HttpForbidden

type Address = IPv4Address | IPv6Address

# IANA's special-purpose registry, and Azure's metadata service in the middle of the public addresses.
_NOT_PUBLIC_4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 "
        "192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 "
        "203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 168.63.129.16/32"
    ).split()
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")
# Protocol assignments (Teredo among them), documentation, 6to4, AS112, segment routing.
_NOT_PUBLIC_6 = tuple(
    IPv6Network(text) for text in "2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20 5f00::/16".split()
)
# Names that lead to the machine itself or to what tells it its secrets, wherever they are resolved.
_OWN_NAMES = frozenset(
    "localhost ip6-localhost ip6-loopback broadcasthost metadata metadata.google.internal metadata.goog "
    "metadata.azure.internal metadata.tencentyun.com instance-data instance-data.ec2.internal "
    "kubernetes kubernetes.default kubernetes.default.svc kubernetes.default.svc.cluster.local".split()
)
# Ports of databases, queues, caches, mail, shells and control planes: nothing there speaks HTTP for strangers.
REFUSED_PORTS = frozenset(
    int(word)
    for word in (
        "7 9 19 20 21 22 23 25 53 69 79 110 111 119 135 137 138 139 143 161 389 445 465 512 513 514 587 631 636 873 "
        "993 995 1080 1099 1433 1434 1521 1723 2049 2181 2375 2376 2379 2380 3268 3306 3389 4369 5432 5433 5672 5900 "
        "5984 5985 5986 6379 6380 6443 6660 6667 8500 9042 9092 9200 9300 10250 10255 11211 15672 25565 26379 27017"
    ).split()
)
_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
# The last label of an address in one of inet_aton's spellings: 127.1, 0x7f000001, 017700000001, 2130706433.
_NUMERIC = re.compile(r"\d+|0x[0-9a-f]*")
_ENTRY = re.compile(r"(?:\[(?P<six>[^\]]+)\]|(?P<other>[^:\[\]]+))(?::(?P<port>\d{1,5}))?")


class AllowedHostError(ValueError):
    """Raised for an entry of the allow-list that is none; a whole sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedHost:
    """An entry of the allow-list: a name, or a network of addresses; with a port, or for all but the refused ones."""

    name: str | None = None
    network: IPv4Network | IPv6Network | None = None
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """`intranet.example`, `127.0.0.1:8080`, `10.0.0.0/8`, `[::1]:8080`, `fd00::/8`. Raises `AllowedHostError`."""
        network = _network(text)
        if network is not None:
            return cls(network=network)
        found = _ENTRY.fullmatch(text)
        port = None if found is None or found["port"] is None else int(found["port"])
        if found is None or port == 0 or (port or 0) > 65535:
            raise _unreadable(text)
        host = str(found["six"] or found["other"])
        network = _network(host)
        if network is not None:
            return cls(network=network, port=port)
        name = host.lower().removesuffix(".")
        if found["six"] is not None or _NAME.fullmatch(name) is None or _is_numeric(name):
            raise _unreadable(text)
        return cls(name=name, port=port)

    def matches(self, host: str, address: Address | None, port: int) -> bool:
        if self.port not in (None, port):
            return False
        if self.network is None:
            return self.name == host
        return address is not None and address.version == self.network.version and address in self.network


def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text)
    except ValueError:
        return None


def _unreadable(text: str) -> AllowedHostError:
    return AllowedHostError(
        f"{quoted(text)} is no host, address or network: write 'intranet.example', '10.0.0.0/8', '127.0.0.1:8080' or "
        + "'[::1]:8080', a network without bits below its mask."
    )


def is_public(address: Address) -> bool:
    """Whether an address is one of the public Internet, unicast, and carries no other address inside."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    if address.scope_id is not None or address not in _GLOBAL_UNICAST:
        return False
    return not any(address in network for network in _NOT_PUBLIC_6)


def check_host(host: str, port: int, allowed: Sequence[AllowedHost]) -> None:
    """Refuse what need not be resolved to be refused: spellings, names, literal addresses, ports.

    Raises `HttpForbidden`.
    """
    name = canonical(host)
    address = literal(name)
    if address is not None:
        check_address(host, str(address), port, allowed)
        return
    if not _NAME.fullmatch(name):
        raise HttpForbidden(f"The host {quoted(host)} is no name of a host: use letters, digits, dots and hyphens.")
    if _is_allowed(name, None, port, allowed):
        return
    if name in _OWN_NAMES or name.endswith(".localhost"):
        raise HttpForbidden(
            f"The host {quoted(host)} is the server's own or its provider's: no workflow may reach it. {_HOW_TO_ALLOW}"
        )
    if port in REFUSED_PORTS and not any(entry.network is not None and entry.port == port for entry in allowed):
        raise _refused_port(host, port)


def check_address(host: str, address: str, port: int, allowed: Sequence[AllowedHost]) -> None:
    """Refuse an address to which `host` leads. Raises `HttpForbidden`."""
    found = _parsed(address)
    name = canonical(host)
    if found is not None and (is_public(found) or any(entry.matches(name, found, port) for entry in allowed)):
        if port not in REFUSED_PORTS or _is_allowed(name, found, port, allowed):
            return
        raise _refused_port(host, port)
    raise HttpForbidden(
        f"The host {quoted(host)} leads to an address that is not public: no workflow may reach it. {_HOW_TO_ALLOW}"
    )


_HOW_TO_ALLOW = "An administrator can allow it in PASTETRADER['HTTP_ALLOWED_HOSTS']."


def canonical(host: str) -> str:
    """The host in lower case, without the dot of the root."""
    return host.lower().removesuffix(".")


def literal(host: str) -> Address | None:
    """The address that a host is; None for a name. Raises `HttpForbidden` for other spellings of addresses."""
    if ":" not in host and not _is_numeric(host):
        return None
    address = _parsed(host)
    if address is None:
        raise HttpForbidden(
            f"The host {quoted(host)} is an unusual spelling of an address: write four decimal numbers, or IPv6."
        )
    return address


def _is_allowed(name: str, address: Address | None, port: int, allowed: Sequence[AllowedHost]) -> bool:
    """Whether an entry opens this port: one of the refused ports is named by it."""
    return any(
        entry.matches(name, address, port) and (entry.port == port or port not in REFUSED_PORTS) for entry in allowed
    )


def _parsed(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _is_numeric(host: str) -> bool:
    return _NUMERIC.fullmatch(host.rpartition(".")[2]) is not None


def _refused_port(host: str, port: int) -> HttpForbidden:
    return HttpForbidden(
        f"Port {port} of {quoted(host)} is one of databases and other internal services: no workflow may reach it. "
        + _HOW_TO_ALLOW
    )
