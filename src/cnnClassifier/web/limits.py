"""Who may ask, and how often: an optional API key and an optional rate for each client.

Both hold for every route but those named open: a route that somebody adds is closed until they say otherwise.
"""

import hmac
import math
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Flask, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from cnnClassifier.api_key import API_KEY, HEADER, check_key
from cnnClassifier.web.problems import too_often

if TYPE_CHECKING:
    from flask_limiter import Limiter


@dataclass
class Guard:
    """Asks for the key, if there is one, and counts requests, if there is a `rate` such as "60 per minute".

    The key may be changed while requests come.
    """

    key: str | None = None
    rate: str | None = None

    def register(self, app: Flask, open_routes: Collection[str]) -> None:
        """Guard all routes but the open ones (by endpoint). Templates can read `api_key_needed`."""
        app.context_processor(lambda: {"api_key_needed": self.key is not None})
        if self.rate:
            _limit(app, self.rate, open_routes)
        app.before_request(lambda: self._check(open_routes))

    def _check(self, open_routes: Collection[str]) -> None:
        # An address that is no route is answered 404 with or without a key.
        if request.endpoint is None or request.endpoint in open_routes or self.admits(_sent()):
            return
        challenge = WWWAuthenticate("bearer", {"realm": "cnnClassifier"})
        raise Unauthorized(
            f"this server asks for an API key: send it in the header {HEADER}, or as Authorization: Bearer <key>",
            www_authenticate=challenge,
        )

    def knows_sender(self) -> bool:
        """Whether the request in hand has the key, or none is asked for: others are not told all that they may ask."""
        return self.admits(_sent())

    def admits(self, sent: str) -> bool:
        """Whether this is the key. Takes as long for a near miss as for a far one."""
        # Bytes, as text beyond ASCII may not be compared; WSGI hands over a header's as Latin-1.
        return self.key is None or hmac.compare_digest(sent.encode("latin-1", "replace"), self.key.encode())


def guard(environ: Mapping[str, str], rate: str | None) -> Guard:
    """The guard that the environment (for the key: no secret stands in a file of the project) and settings ask for."""
    key = environ.get(API_KEY)
    return Guard(check_key(key) if key else None, rate)


def key_in(header: str, authorization: str) -> str:
    """The key that a request's two headers bring; empty if neither has one."""
    scheme, _, token = authorization.partition(" ")
    return header or (token.strip() if scheme.lower() == "bearer" else "")


def _sent() -> str:
    return key_in(request.headers.get(HEADER, ""), request.headers.get("Authorization", ""))


def _limit(app: Flask, rate: str, open_routes: Collection[str]) -> None:
    from flask_limiter import Limiter, RateLimitExceeded

    limiter = Limiter(
        # The address of the connection: X-Forwarded-For is whatever the client writes.
        lambda: request.remote_addr or "unknown",
        application_limits=[rate],
        storage_uri="memory://",
        strategy="moving-window",  # no headers: they would overwrite the Retry-After of every other refusal
    )
    limiter.request_filter(lambda: request.endpoint is None or request.endpoint in open_routes)
    limiter.init_app(app)
    app.register_error_handler(RateLimitExceeded, lambda _: too_often(rate, _seconds_until_next(limiter)))


def _seconds_until_next(limiter: "Limiter") -> int:
    """How long the client that was just refused has to wait."""
    limit = limiter.current_limit
    return max(1, math.ceil(limit.window[0] - time.time())) if limit else 1
