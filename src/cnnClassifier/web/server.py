"""Waitress, set up for this app: requests stay in memory, and its own refusals are problem documents too."""

import logging
import socket
import uuid
import weakref
from collections.abc import Mapping
from http import HTTPStatus

from flask import Flask
from pydantic import ValidationError
from waitress import create_server
from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer
from waitress.task import ErrorTask

from cnnClassifier.config.types import ServingConfig
from cnnClassifier.errors import ConfigError
from cnnClassifier.web.answers import Problem
from cnnClassifier.web.logs import log_fields
from cnnClassifier.web.observer import REQUEST_ID
from cnnClassifier.web.problems import PROBLEM_JSON
from cnnClassifier.web.receiving import Parser, TooManyUploads

# Fields of the settings that the environment may say otherwise, by the variable's name.
ENVIRONMENT = {
    "host": "HOST",
    "port": "PORT",
    "prediction_log": "CNNCLASSIFIER_PREDICTION_LOG",
    "feedback": "CNNCLASSIFIER_FEEDBACK",
}

log = logging.getLogger(__name__)


class ProblemTask(ErrorTask):  # type: ignore[misc]
    """Answers what Waitress refuses before the app sees it: broken HTTP, a body far above the limit."""

    def execute(self) -> None:
        """Write the refusal and close the connection."""
        error = self.request.error
        problem = Problem(title=HTTPStatus(error.code).phrase, status=error.code, detail=str(error.body))
        body = problem.model_dump_json(exclude_none=True).encode()
        self.status = f"{error.code} {problem.title}"
        request_id = str(uuid.uuid4())
        self.response_headers += [("Content-Type", PROBLEM_JSON), (REQUEST_ID, request_id)]
        if error.code == TooManyUploads.code:
            self.response_headers.append(("Retry-After", "2"))
        self.set_close_on_finish()
        self.content_length = len(body)
        fields = {"request_id": request_id, "status": error.code}
        log_fields(log, f"refused before the app saw it: {error.code} {problem.title}", fields)
        self.write(body)


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection with problem documents."""

    error_task_class = ProblemTask


def listening(config: ServingConfig, environ: Mapping[str, str]) -> ServingConfig:
    """The settings, with what the environment says of ENVIRONMENT's fields in place of the file's."""
    changes = {field: environ[name] for field, name in ENVIRONMENT.items() if environ.get(name)}
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
    server.channel_class = type("LimitedChannel", (Channel,), {"parser_class": parser})
    return server


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host} port {port}: {error.strerror}; set HOST or PORT, or serving.port in config.yaml"
        ) from None
