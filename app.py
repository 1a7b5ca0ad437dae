"""The web app: `app` for any WSGI server (gunicorn app:app), or `python app.py` to serve it on port 8080."""

import os

# Before NumPy is loaded: its idle threads would spin on the cores that the network needs (docs/serving.md).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import ctypes
import signal
import sys
from pathlib import Path

from dotenv import load_dotenv
from flask import Flask

from cnnClassifier.config.types import ProjectConfig, ServingConfig
from cnnClassifier.errors import CnnClassifierError
from cnnClassifier.shipped import load_project_anywhere
from cnnClassifier.web import ModelHolder, Models, create_app
from cnnClassifier.web.limits import guard
from cnnClassifier.web.logs import configure_logs
from cnnClassifier.web.model_source import holder_of, registry_of
from cnnClassifier.web.server import listening, make_server

ROOT = Path(__file__).resolve().parent
M_ARENA_MAX = -8  # of glibc's malloc.h


def main() -> int:
    """Serve with Waitress until Ctrl+C or SIGTERM."""
    load_dotenv(ROOT / ".env")
    try:
        project = load_project_anywhere()
        config = listening(project.serving, os.environ)
        configure_logs(config.logs)
        models, app = _put_together(project, config)
        server = make_server(app, config)
    except CnnClassifierError as error:
        print(f"app.py: {error}", file=sys.stderr)  # noqa: T201
        return 2
    models.start()
    # As process 1 of a container, Python would ignore SIGTERM; Waitress stops on SystemExit.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if hasattr(signal, "SIGHUP"):  # not on Windows
        signal.signal(signal.SIGHUP, lambda *_: models.look_now())
    print(f"Serving on http://{config.host}:{config.port} (Ctrl+C stops)", flush=True)  # noqa: T201
    server.run()
    app.extensions["batcher"].close()
    return 0


def make_app() -> Flask:
    """The app for a WSGI server, its model loading in the background."""
    load_dotenv(ROOT / ".env")
    project = load_project_anywhere()
    configure_logs(project.serving.logs)
    models, app = _put_together(project, project.serving)
    models.start()
    return app


def _put_together(project: ProjectConfig, config: ServingConfig) -> tuple[ModelHolder, Flask]:
    _share_memory()
    default = holder_of(project, os.environ)
    models = Models(default, registry_of(project, os.environ))
    return default, create_app(models, config, ROOT, guard(os.environ, config.rate_limit), project.paths)


def _share_memory() -> None:
    """Have all threads take memory from two arenas: of one for each, what a picture took is kept, 70 MB in all."""
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):  # musl has none
        mallopt(M_ARENA_MAX, 2)


if __name__ == "__main__":
    sys.exit(main())
else:
    app = make_app()
