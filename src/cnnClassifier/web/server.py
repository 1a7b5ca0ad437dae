"""Waitress, set up for this app: requests stay in memory, and its own refusals are problem documents too."""

import socket
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
from cnnClassifier.web.problems import PROBLEM_JSON


class ProblemTask(ErrorTask):  # type: ignore[misc]
    """Answers what Waitress refuses before the app sees it: broken HTTP, a body far above the limit."""

    def execute(self) -> None:
        """Write the refusal and close the connection."""
        error = self.request.error
        problem = Problem(title=HTTPStatus(error.code).phrase, status=error.code, detail=str(error.body))
        body = problem.model_dump_json(exclude_none=True).encode()
        self.status = f"{error.code} {problem.title}"
        self.response_headers.append(("Content-Type", PROBLEM_JSON))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection with problem documents."""

    error_task_class = ProblemTask


def listening(config: ServingConfig, environ: Mapping[str, str]) -> ServingConfig:
    """The settings, with HOST and PORT of the environment in place of the file's."""
    changes = {key: environ[key.upper()] for key in ("host", "port") if environ.get(key.upper())}
    try:
        return ServingConfig.model_validate(config.model_dump() | changes)
    except ValidationError as error:
        fault = error.errors()[0]
        raise ConfigError(f"PORT in the environment: {fault['msg']}. Received: {fault['input']!r}") from None


def make_server(app: Flask, config: ServingConfig) -> BaseWSGIServer:
    """A server bound to `config`'s host and port, to be `run()`; ConfigError if they cannot be had."""
    body_limit = 2 * config.max_upload_mb * 2**20  # bodies up to here are read, so that the app can refuse them
    server = create_server(
        app,
        sockets=[_listen(config.host, config.port)],
        threads=config.threads,
        max_request_body_size=body_limit,
        inbuf_overflow=body_limit + 1,  # above this Waitress writes a request to a temporary file: never
        ident=None,
    )
    server.channel_class = Channel
    return server


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host} port {port}: {error.strerror}; set HOST or PORT, or serving.port in config.yaml"
        ) from None
