"""The web app: `app` for any WSGI server (gunicorn app:app), or `python app.py` to serve it on port 8080."""

import logging
import os
import signal
import sys
from pathlib import Path

from dotenv import load_dotenv
from flask import Flask

from cnnClassifier.config.loading import PROJECT_FILE, load_project
from cnnClassifier.errors import CnnClassifierError
from cnnClassifier.web import ModelHolder, create_app
from cnnClassifier.web.model_source import model_source
from cnnClassifier.web.server import listening, make_server

ROOT = Path(__file__).resolve().parent


def main() -> int:
    """Serve with Waitress until Ctrl+C or SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    load_dotenv(ROOT / ".env")
    try:
        project = load_project(ROOT / PROJECT_FILE)
        config = listening(project.serving, os.environ)
        models = ModelHolder(model_source(project, os.environ))
        server = make_server(create_app(models, config, ROOT), config)
    except CnnClassifierError as error:
        print(f"app.py: {error}", file=sys.stderr)  # noqa: T201
        return 2
    models.start()
    # As process 1 of a container, Python would ignore SIGTERM; Waitress stops on SystemExit.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"Serving on http://{config.host}:{config.port} (Ctrl+C stops)", flush=True)  # noqa: T201
    server.run()
    return 0


def make_app() -> Flask:
    """The app for a WSGI server, its model loading in the background."""
    load_dotenv(ROOT / ".env")
    project = load_project(ROOT / PROJECT_FILE)
    models = ModelHolder(model_source(project, os.environ))
    models.start()
    return create_app(models, project.serving, ROOT)


if __name__ == "__main__":
    sys.exit(main())
else:
    app = make_app()
