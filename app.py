"""The web app: `app` for any WSGI server (gunicorn app:app), or `python app.py` to serve it on port 8080."""

import os

# Before NumPy is loaded: its idle threads would spin on the cores that the network needs (docs/serving.md).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values, load_dotenv
from flask import Flask

from cnnClassifier.config.types import ProjectConfig, ServingConfig
from cnnClassifier.errors import CnnClassifierError
from cnnClassifier.project_root import project_root
from cnnClassifier.shipped import load_project_anywhere
from cnnClassifier.web import ModelHolder, Models, create_app
from cnnClassifier.web.limits import Guard
from cnnClassifier.web.limits import guard as make_guard
from cnnClassifier.web.logs import configure_logs
from cnnClassifier.web.memory import share_arenas
from cnnClassifier.web.model_source import holder_of, registry_of
from cnnClassifier.web.reloading import Reloader
from cnnClassifier.web.server import listening, make_server
from cnnClassifier.web.stopping import Stoppable

ROOT = Path(__file__).resolve().parent


def main() -> int:
    """Serve with Waitress until Ctrl+C or SIGTERM, and finish what was accepted. SIGHUP reads the settings again."""
    process_environment = dict(os.environ)
    load_dotenv(_env_file())
    try:
        project, config, guard = _read_settings(os.environ)
        configure_logs(config.logs, config.log_level)
        models, app = _build(project, config, guard)
        server = Stoppable(make_server(app, config), config.grace_seconds)
    except CnnClassifierError as error:
        print(f"app.py: {error}", file=sys.stderr)  # noqa: T201
        return 2
    models.start()
    reloader = Reloader(app.extensions["adjustable"], lambda: _read_again(process_environment))
    for signum in (signal.SIGTERM, signal.SIGINT):  # As process 1 of a container, Python would ignore SIGTERM.
        signal.signal(signum, lambda *_: server.stop())
    if hasattr(signal, "SIGHUP"):  # not on Windows
        signal.signal(signal.SIGHUP, lambda *_: (models.look_now(), reloader.ask()))
    print(f"Serving on http://{config.host}:{config.port} (Ctrl+C stops)", flush=True)  # noqa: T201
    server.run()
    app.extensions["batcher"].close()
    app.extensions["journal"].close()
    # A second signal must not kill us while Python shuts down (exit status -15).
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, signal.SIG_IGN)
    return 0


def make_app() -> Flask:
    """The app for a WSGI server, its model loading in the background."""
    load_dotenv(_env_file())
    project, config, guard = _read_settings(os.environ)
    configure_logs(config.logs, config.log_level)
    models, app = _build(project, config, guard)
    models.start()
    return app


def _env_file() -> Path:
    """The working folder's .env, as for every other command; else the one beside app.py."""
    here = project_root(Path.cwd()) / ".env"
    return here if here.is_file() else ROOT / ".env"


def _read_settings(environ: Mapping[str, str]) -> tuple[ProjectConfig, ServingConfig, Guard]:
    """Settings from config.yaml and the environment."""
    project = load_project_anywhere()
    config = listening(project.serving, environ)
    return project, config, make_guard(environ, config.rate_limit)


def _read_again(process_environment: Mapping[str, str]) -> tuple[ServingConfig, Guard]:
    """Settings re-read on SIGHUP: the process's original environment over the current .env."""
    in_file = {name: value for name, value in dotenv_values(_env_file()).items() if value is not None}
    _, config, guard = _read_settings({**in_file, **process_environment})
    return config, guard


def _build(project: ProjectConfig, config: ServingConfig, guard: Guard) -> tuple[ModelHolder, Flask]:
    share_arenas()
    default = holder_of(project, os.environ)
    models = Models(default, registry_of(project, os.environ))
    return default, create_app(models, config, ROOT, guard, project.paths)


if __name__ == "__main__":
    sys.exit(main())
else:
    app = make_app()
