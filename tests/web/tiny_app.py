"""The app around the tiny model, with and without a real server."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask import Flask

from cnnClassifier.config.types import ServingConfig
from cnnClassifier.errors import ModelError
from cnnClassifier.inference import Classifier
from cnnClassifier.web import ModelHolder, Models, create_app
from cnnClassifier.web.server import make_server

ROOT = Path(__file__).parents[2]
CONFIG = ServingConfig(max_upload_mb=2, max_megapixels=4)


def app_serving(classifier: Classifier, config: ServingConfig = CONFIG) -> Flask:
    return app_loading(lambda: classifier, config)


def app_without_model() -> Flask:
    def nothing_there() -> Classifier:
        raise ModelError("no model called phantom is registered")

    return app_loading(nothing_there)


def app_loading(load, config: ServingConfig = CONFIG) -> Flask:
    models = ModelHolder(load)
    models.load_once()
    return create_app(Models(models), config, ROOT)


@contextmanager
def running(app: Flask, config: ServingConfig = CONFIG) -> Iterator[str]:
    """The app behind its real server; gives the address."""
    # Port 0, a free one, is no setting for people: model_copy does not validate.
    server = make_server(app, config.model_copy(update={"port": 0}))
    done = threading.Event()
    thread = threading.Thread(target=_serve_until, args=(server, done), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.effective_port}"
    done.set()
    thread.join(timeout=10)


def _serve_until(server, done: threading.Event) -> None:
    # What server.run() does until Ctrl+C, with connections closed in the thread that owns them.
    while not done.is_set():
        server.asyncore.loop(timeout=0.05, map=server._map, count=1)
    server.task_dispatcher.shutdown()
    server.asyncore.close_all(server._map)
