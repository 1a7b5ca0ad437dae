"""Fetch an image from an address that somebody sent: only where it is allowed, and never from inside our network.

An address in a request invites server-side request forgery (OWASP Top 10, 2021, A10): hosts are an allow-list; a name
is resolved once, every address it has must be public, and the connection goes to the address that was checked; a
redirect is checked as the first address was.
"""

import http.client
import ipaddress
import re
import socket
import ssl
import string
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from cnnClassifier.errors import ConfigError, DataError

REDIRECTS = 3
PORTS = {"http": 80, "https": 443}
CHUNK = 64 * 1024
# IPv6 addresses that a gateway turns into IPv4 ones, private ones among them: NAT64, 6to4, Teredo.
TRANSLATED = [ipaddress.ip_network(each) for each in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")]
HEADERS = {"Accept": "image/*, application/dicom", "User-Agent": "cnnClassifier"}
MOVED = (301, 302, 303, 307, 308)
HOST = re.compile(r"[^\s/@?#*]+")
KEPT = string.punctuation  # % among them: what is quoted already stays as it is


class FetchError(DataError):
    """An address may not be fetched, or what is there cannot be had; the message says why."""


def is_public(address: str) -> bool:
    """Whether an IP address is of the public internet: not private, loopback, link-local, multicast or reserved."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None) or ip
    return mapped.is_global and not mapped.is_multicast and not any(mapped in network for network in TRANSLATED)


@dataclass(frozen=True)
class Fetcher:
    """Fetches from `hosts` (exact names) at most `max_bytes` in `seconds`; `allowed` judges an IP address.

    ConfigError for a host that is more than a name and a port: no address would ever match it.
    """

    hosts: Sequence[str]
    max_bytes: int
    seconds: float
    allowed: Callable[[str], bool] = is_public

    def __post_init__(self) -> None:
        for host in self.hosts:
            if not HOST.fullmatch(host):
                raise ConfigError(
                    "a host to fetch from is a name, with a port if it is not the usual one, such as "
                    f"scans.example.org:8443, and no address (serving.url_hosts). Received: {host!r}"
                )
        # Names of hosts have no case, and `urlsplit` gives them in small letters.
        object.__setattr__(self, "hosts", [host.lower() for host in self.hosts])

    def fetch(self, url: str) -> bytes:
        """The body at an http(s) address; FetchError if it may not be asked, is too large, or does not come in time."""
        deadline = time.monotonic() + self.seconds
        for _ in range(1 + REDIRECTS):
            body, moved = self._ask(url, deadline)
            if moved is None:
                return body
            try:
                url = urljoin(url, moved)
            except ValueError:
                raise FetchError("the address leads on to what is not an address") from None
        raise FetchError(f"the address leads on more than {REDIRECTS} times")

    def _ask(self, url: str, deadline: float) -> tuple[bytes, str | None]:
        """The body, or where it has moved to."""
        parts = self._check(url)
        connection = self._connect(parts, deadline)
        try:
            target = quote(parts._replace(scheme="", netloc="", fragment="").geturl() or "/", safe=KEPT)
            connection.request("GET", target, headers=HEADERS)
            response = connection.getresponse()
            if response.status in MOVED:
                # http.client reads headers as Latin-1: what is quoted are the bytes that the server sent.
                return b"", quote(response.headers.get("Location") or "", safe=KEPT, encoding="latin-1")
            if response.status != http.HTTPStatus.OK:
                raise FetchError(f"the address answers {response.status}")
            return self._body(response, deadline), None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise FetchError(f"the address cannot be fetched: {type(error).__name__}") from None
        finally:
            connection.close()

    def _check(self, url: str) -> SplitResult:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise FetchError("this is not an address") from None
        if parts.scheme not in PORTS or not parts.hostname:
            raise FetchError("only http and https addresses are fetched")
        if parts.username is not None or parts.password is not None:
            raise FetchError("an address may not hold a user or a password")
        if _host_of(parts.hostname, port, parts.scheme) not in self.hosts:
            raise FetchError("this host is not among those that the server may fetch from (serving.url_hosts)")
        if any(character <= " " or character == "\x7f" for character in url):
            raise FetchError("an address may not hold spaces or control characters")
        return parts

    def _connect(self, parts: SplitResult, deadline: float) -> http.client.HTTPConnection:
        """A connection to an address that was checked: resolving again could give another (DNS rebinding)."""
        host, port = str(parts.hostname), parts.port or PORTS[parts.scheme]
        address = self._resolve(host, port)
        left = max(0.1, deadline - time.monotonic())
        kind = _PinnedHTTPS if parts.scheme == "https" else _Pinned
        return kind(host, port, address, left)

    def _resolve(self, host: str, port: int) -> str:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            raise FetchError("the address's host has no known IP address") from None
        addresses = [str(each[4][0]) for each in found]
        if not addresses or not all(map(self.allowed, addresses)):
            raise FetchError("the address leads into a private network")
        return addresses[0]

    def _body(self, response: http.client.HTTPResponse, deadline: float) -> bytes:
        body = bytearray()
        while chunk := response.read1(CHUNK):
            body += chunk
            if len(body) > self.max_bytes:
                raise FetchError(f"the file there is larger than the {self.max_bytes // 2**20} MB this server accepts")
            if time.monotonic() > deadline:
                raise FetchError(f"the file did not come within {self.seconds:g} seconds")
        return bytes(body)


class _Pinned(http.client.HTTPConnection):
    """A connection to `address`, whatever the name of the host now resolves to."""

    def __init__(self, host: str, port: int, address: str, seconds: float) -> None:
        super().__init__(host, port, timeout=seconds)
        self.address = address

    def connect(self) -> None:
        """Open the socket."""
        self.sock = socket.create_connection((self.address, self.port), self.timeout)


class _PinnedHTTPS(_Pinned):
    """The same, encrypted; the certificate must be the host's."""

    default_port = PORTS["https"]

    def connect(self) -> None:
        """Open the socket and agree on encryption."""
        super().connect()
        self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)


def _host_of(host: str, port: int | None, scheme: str) -> str:
    return host if port in (None, PORTS[scheme]) else f"{host}:{port}"
