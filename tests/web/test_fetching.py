"""Addresses in requests: followed only where they are allowed, never into a private network."""

import base64
import http.server
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from itertools import islice

import pytest
import requests
from tiny_app import CONFIG, app_serving, running
from tiny_model import picture

from cnnClassifier.errors import ConfigError
from cnnClassifier.fetching import Fetcher, FetchError, is_public
from cnnClassifier.web import factory

LIMIT = 50_000


PAGES = {
    "/scan.png": (200, picture("normal")),
    "/%C3%A4%20b.png?c=%C3%B6": (200, picture("normal")),
    "/large": (200, bytes(2 * LIMIT)),
    "/none": (404, b"no"),
}
LEADS = {
    "/moved": "/scan.png",
    "/umlaut": "/ä%20b.png?c=ö".encode().decode("latin-1"),  # as UTF-8, which is what servers send
    "/round": "/round",
    "/inside": "http://127.0.0.1:1/x",
    "/file": "file:///etc/passwd",
    "/bracket": "http://[",
}
PRIVATE = """
    127.0.0.1 10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 224.0.0.1 ::1 :: fe80::1 fe80::1%eth0
    fc00::1 ff02::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 64:ff9b::7f00:1 64:ff9b:1::1 2002:7f00:1::1
"""


class Site(http.server.BaseHTTPRequestHandler):
    """A host with a picture, a large file, and addresses that lead on."""

    def do_GET(self) -> None:
        if self.path in LEADS:
            self.send_response(302)
            self.send_header("Location", LEADS[self.path])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        status, body = PAGES[self.path]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def listening(handler: type) -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with listening(Site) as port:
        yield f"localhost:{port}"


def fetcher(host: str, **changes) -> Fetcher:
    """One that takes this machine for a public one."""
    return Fetcher(**{"hosts": [host], "max_bytes": LIMIT, "seconds": 5.0, "allowed": lambda _: True} | changes)


@pytest.mark.parametrize("path", ["/scan.png", "/moved", "/ä%20b.png?c=ö", "/%C3%A4%20b.png?c=%C3%B6#d", "/umlaut"])
def test_a_picture_is_fetched_also_from_where_it_moved_to(host, path):
    assert fetcher(host).fetch(f"http://{host}{path}") == picture("normal")


def test_capital_letters_in_a_listed_host_do_not_matter(host):
    assert fetcher(host.title()).fetch(f"http://{host}/scan.png") == picture("normal")


@pytest.mark.parametrize("listed", ["https://scans.example", "scans.example/ct", "*.example", "a.example b", ""])
def test_a_listed_host_that_is_no_name_is_refused(listed):
    with pytest.raises(ConfigError, match=r"\(serving.url_hosts\)\. Received: "):
        Fetcher(["scans.example", listed], LIMIT, 5.0)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/large", "larger than"),
        ("/none", "answers 404"),
        ("/round", "leads on more than 3 times"),
        ("/inside", "not among those"),
        ("/file", "only http and https"),
        ("/bracket", "leads on to what is not an address"),
        ("/\ud800", "cannot be fetched: UnicodeEncodeError"),
    ],
)
def test_what_is_too_large_missing_or_leads_elsewhere_is_not(host, path, reason):
    with pytest.raises(FetchError, match=reason):
        fetcher(host).fetch(f"http://{host}{path}")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://{host}/scan.png", "only http and https"),
        ("file:///etc/passwd", "only http and https"),
        ("http://user:secret@{host}/scan.png", "user or a password"),
        ("http://other.example/scan.png", "not among those"),
        ("http://{host}.evil.example/scan.png", "not an address"),
        ("http://{host}/a b", "spaces"),
        ("http://{host}/a\r\nHost: x", "spaces|not an address"),
        ("http://[::1", "not an address"),
        ("", "only http and https"),
    ],
)
def test_an_address_that_is_not_allowed_is_never_asked(host, url, reason):
    with pytest.raises(FetchError, match=reason):
        fetcher(host).fetch(url.format(host=host))


def test_an_allowed_name_that_leads_into_a_private_network_is_not_asked(host):
    with pytest.raises(FetchError, match="private network"):
        fetcher(host, allowed=is_public).fetch(f"http://{host}/scan.png")


@pytest.mark.parametrize("address", PRIVATE.split())
def test_these_are_no_public_addresses(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34"])
def test_these_are(address):
    assert is_public(address)


def test_a_host_that_trickles_is_given_up():
    class Slow(Site):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(LIMIT))
            self.end_headers()
            gone = threading.Event()
            while not gone.wait(0.05):
                try:
                    self.wfile.write(b"x")
                except OSError:
                    gone.set()

    with listening(Slow) as port, pytest.raises(FetchError, match=r"did not come within 0\.5 seconds"):
        fetcher(f"localhost:{port}", seconds=0.5).fetch(f"http://localhost:{port}/")


def test_the_api_follows_no_address_unless_that_is_switched_on(client, classifier, host):
    sent = {"data": json.dumps({"url": f"http://{host}/scan.png"}), "content_type": "application/json"}
    refused = client.post("/api/v1/predict", **sent)
    assert (refused.status_code, refused.json["type"]) == (422, "urn:cnnclassifier:problem:not-fetched")
    assert "no host stands in serving.url_hosts" in refused.json["detail"]
    image = base64.b64encode(picture("normal")).decode()
    assert client.post("/api/v1/predict", json={"image": image}).json["label"] == "normal"
    both = client.post("/api/v1/predict", json={"url": f"http://{host}/scan.png", "image": image})
    assert (both.status_code, both.json["detail"]) == (
        400,
        'send {"url": "https://..."}: image: Extra inputs are not permitted',
    )
    switched_on = app_serving(classifier, CONFIG.model_copy(update={"url_hosts": (host,)})).test_client()
    private = switched_on.post("/api/v1/predict", **sent)
    assert (private.status_code, private.json["type"]) == (422, "urn:cnnclassifier:problem:not-fetched")
    assert "private network" in private.json["detail"]


class Waiting(Site):
    """A host that answers when it is told to."""

    go = threading.Event()

    def do_GET(self) -> None:
        assert self.go.wait(60)
        super().do_GET()


def test_who_waits_for_a_slow_host_is_let_in_like_all_others_and_one_too_many_is_refused(classifier, monkeypatch):
    config = CONFIG.model_copy(update={"queue": 2, "threads": 4})
    with listening(Waiting) as port:
        # This machine is no public one: the app would not fetch from it.
        monkeypatch.setattr(factory, "_fetcher", lambda _: fetcher(f"localhost:{port}", seconds=60))
        sent = {"url": f"http://localhost:{port}/scan.png"}

        def ask() -> requests.Response:
            return requests.post(f"{address}/api/v1/predict", json=sent, timeout=60)

        with running(app_serving(classifier, config), config) as address, ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(ask) for _ in range(4)]
            refused = [done.result() for done in islice(as_completed(asked), 2)]
            assert requests.get(f"{address}/health", timeout=5).ok
            assert [(each.status_code, each.headers["Retry-After"]) for each in refused] == [(429, "1")] * 2
            Waiting.go.set()
            assert sorted(done.result().status_code for done in asked) == [200, 200, 429, 429]
