"""Waitress, set up for this app: requests stay in memory, and its own refusals are problem documents too."""

import socket
import weakref
from collections.abc import Mapping
from http import HTTPMethod, HTTPStatus

from flask import Flask
from pydantic import ValidationError
from waitress import create_server
from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer
from waitress.task import ErrorTask

from cnnClassifier.config.types import ServingConfig
from cnnClassifier.errors import ConfigError
from cnnClassifier.web.answers import Problem
from cnnClassifier.web.factory import SECURITY_HEADERS
from cnnClassifier.web.observer import REQUEST_ID, Observer, request_id
from cnnClassifier.web.problems import PROBLEM_JSON, too_large
from cnnClassifier.web.receiving import Parser

# Fields of the settings that the environment may say otherwise, by the variable's name.
ENVIRONMENT = {
    "host": "HOST",
    "port": "PORT",
    "prediction_log": "CNNCLASSIFIER_PREDICTION_LOG",
    "feedback": "CNNCLASSIFIER_FEEDBACK",
    "log_level": "CNNCLASSIFIER_LOG_LEVEL",
}

ID_HEADER = REQUEST_ID.upper().replace("-", "_")  # as Waitress writes it


class ProblemTask(ErrorTask):  # type: ignore[misc]
    """Answers what Waitress refuses before the app sees it: broken HTTP, a body far above the limit."""

    def execute(self) -> None:
        """Write the refusal, note it as the app's own are noted, and close the connection."""
        status = HTTPStatus(self.request.error.code)
        body = Problem(title=status.phrase, status=status, detail=self._detail()).model_dump_json(exclude_none=True)
        name = request_id(self.request.headers.get(ID_HEADER))
        self.status = f"{status} {status.phrase}"
        self.response_headers += [("Content-Type", PROBLEM_JSON), (REQUEST_ID, name), *SECURITY_HEADERS.items()]
        if status is HTTPStatus.TOO_MANY_REQUESTS:
            self.response_headers.append(("Retry-After", "2"))
        self.set_close_on_finish()
        self.content_length = len(body.encode())
        self.channel.observer.unseen(name, self._method(), status, self.request.body_bytes_received)
        self.write(body.encode())

    def _detail(self) -> str:
        if self.request.error.code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return too_large(self.request.largest)
        return str(self.request.error.body)

    def _method(self) -> str:
        """As far as it was read: of a head that is too large, Waitress reads none and says GET."""
        known = self.request.error.code != HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        method = getattr(self.request, "command", "") if known else ""
        return method if method in HTTPMethod.__members__ else "unknown"


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection with problem documents."""

    error_task_class = ProblemTask
    observer: Observer  # a subclass for each server says which


def listening(config: ServingConfig, environ: Mapping[str, str]) -> ServingConfig:
    """The settings, with what the environment says of ENVIRONMENT's fields in place of the file's."""
    changes = {field: environ[name] for field, name in ENVIRONMENT.items() if environ.get(name)}
    if "log_level" in changes:
        changes["log_level"] = changes["log_level"].lower()  # as the command line takes it
    try:
        return ServingConfig.model_validate(config.model_dump() | changes)
    except ValidationError as error:
        fault = error.errors()[0]
        named = ENVIRONMENT.get(str(fault["loc"][0])) if fault["loc"] else None
        received = f" Received: {fault['input']!r}" if named else ""
        raise ConfigError(f"{named or 'serving'} in the environment: {fault['msg']}.{received}") from None


def make_server(app: Flask, config: ServingConfig) -> BaseWSGIServer:
    """A server bound to `config`'s host and port, to be `run()`; ConfigError if they cannot be had."""
    largest = config.max_upload_mb * 2**20
    body_limit = 2 * largest  # bodies up to here are received, so that the app can refuse them
    server = create_server(
        app,
        sockets=[_listen(config.host, config.port)],
        threads=config.threads,
        max_request_body_size=body_limit,
        recv_bytes=128 * 1024,  # most uploads in one piece: each piece is a turn of Waitress' loop
        inbuf_overflow=body_limit + 1,  # above this Waitress writes a request to a temporary file: never
        ident=None,
    )
    limits = {"guard": app.extensions["guard"], "largest": largest, "limit": config.upload_memory_mb * 2**20}
    parser = type("LimitedParser", (Parser,), {**limits, "kept": weakref.WeakSet()})
    of_app = {"parser_class": parser, "observer": app.extensions["observer"]}
    server.channel_class = type("WatchedChannel", (Channel,), of_app)
    return server


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host} port {port}: {error.strerror}; set HOST or PORT, or serving.port in config.yaml"
        ) from None
