"""What is noted of every request: an id that is given back, one line in the log, figures for Prometheus."""

import logging
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, Response, g, request

from cnnClassifier.inference import Prediction
from cnnClassifier.web.logs import log_fields
from cnnClassifier.web.metrics import Metrics

REQUEST_ID = "X-Request-ID"
SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
NO_ROUTE = "unmatched"

log = logging.getLogger(__name__)


class QuietFlask(Flask):
    """Flask, but its log line for a bug names the route rather than the path that the client wrote."""

    def log_exception(self, exc_info: Any) -> None:
        """Log the traceback."""
        fields = {"request_id": g.get("request_id", "")}
        self.logger.error("bug in %s %s", request.method, route(), exc_info=exc_info, extra={"fields": fields})


@dataclass(frozen=True)
class Observer:
    """Notes requests; routes tell it of steps and predictions."""

    metrics: Metrics = field(default_factory=Metrics)

    def register(self, app: Flask) -> None:
        """Watch every request of an app. First of all `before_request`s, so that refusals are seen too."""
        app.before_request(self._begin)
        app.after_request(self._end)

    @property
    def request_id(self) -> str:
        """The id of the request that is being answered."""
        return str(g.request_id)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step of a request."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.metrics.step(name, time.perf_counter() - began)

    def predicted(self, prediction: Prediction) -> None:
        """Note an answer to one image of this request."""
        self.metrics.predicted(prediction)
        g.predictions.append(prediction)

    def unseen(self, name: str, method: str, status: int, bytes_in: int) -> None:
        """Note a request that was refused before the app saw it; `name` is its id."""
        self.metrics.responded(NO_ROUTE, status)
        fields = {"request_id": name, "method": method, "route": NO_ROUTE, "status": status, "bytes_in": bytes_in}
        log_fields(log, f"{method} {NO_ROUTE} {status}, refused before the app saw it", fields)

    def _begin(self) -> None:
        g.request_id = request_id(request.headers.get(REQUEST_ID))
        g.began = time.perf_counter()
        g.predictions = []

    def _end(self, response: Response) -> Response:
        seconds = time.perf_counter() - g.began
        response.headers[REQUEST_ID] = g.request_id
        self.metrics.responded(route(), response.status_code)
        self.metrics.step("total", seconds)
        fields = {
            "request_id": g.request_id,
            "method": request.method,
            "route": route(),
            "status": response.status_code,
            "ms": round(1000 * seconds, 1),
            "bytes_in": request.content_length or 0,
            **_answered(g.predictions),
        }
        log_fields(log, f"{request.method} {route()} {response.status_code} in {fields['ms']} ms", fields)
        return response


def request_id(sent: str | None) -> str:
    """What the client calls its request, if that is 1 to 64 of A-Z a-z 0-9 . _ -, else a new random name."""
    return sent if sent and SANE_ID.fullmatch(sent) else str(uuid.uuid4())


def route() -> str:
    """The template of the route that was asked for, such as /models/<name>; never what the client filled in."""
    return request.url_rule.rule if request.url_rule else NO_ROUTE


def _answered(predictions: list[Prediction]) -> dict[str, object]:
    """Who answered, and in which states; several images of one request share a line."""
    if not predictions:
        return {}
    first = predictions[0]
    states = sorted({prediction.state for prediction in predictions})
    return {"model": first.model, "version": first.version, "state": ",".join(states), "images": len(predictions)}
