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
from cnnClassifier.web.limits import Guard, guard
from cnnClassifier.web.logs import configure_logs
from cnnClassifier.web.memory import share_arenas
from cnnClassifier.web.model_source import holder_of, registry_of
from cnnClassifier.web.reloading import Reloader
from cnnClassifier.web.server import listening, make_server
from cnnClassifier.web.stopping import Stoppable

ROOT = Path(__file__).resolve().parent


def main() -> int:
    """Serve with Waitress until Ctrl+C or SIGTERM, and finish what was accepted. SIGHUP reads the settings again."""
    given = dict(os.environ)
    load_dotenv(_env_file())
    try:
        project, config, who = _read_settings(os.environ)
        configure_logs(config.logs, config.log_level)
        models, app = _put_together(project, config, who)
        server = Stoppable(make_server(app, config), config.grace_seconds)
    except CnnClassifierError as error:
        print(f"app.py: {error}", file=sys.stderr)  # noqa: T201
        return 2
    models.start()
    reloader = Reloader(app.extensions["adjustable"], lambda: _read_again(given))
    for told in (signal.SIGTERM, signal.SIGINT):  # as process 1 of a container, Python would ignore SIGTERM
        signal.signal(told, lambda *_: server.stop())
    if hasattr(signal, "SIGHUP"):  # not on Windows
        signal.signal(signal.SIGHUP, lambda *_: (models.look_now(), reloader.ask()))
    print(f"Serving on http://{config.host}:{config.port} (Ctrl+C stops)", flush=True)  # noqa: T201
    server.run()
    app.extensions["batcher"].close()
    app.extensions["journal"].close()
    for told in (signal.SIGTERM, signal.SIGINT):  # told twice, it would else be killed while Python ends: status -15
        signal.signal(told, signal.SIG_IGN)
    return 0


def make_app() -> Flask:
    """The app for a WSGI server, its model loading in the background."""
    load_dotenv(_env_file())
    project, config, who = _read_settings(os.environ)
    configure_logs(config.logs, config.log_level)
    models, app = _put_together(project, config, who)
    models.start()
    return app


def _env_file() -> Path:
    """The working folder's, as for every other command: an installed app.py has none beside it. Else the one there."""
    here = project_root(Path.cwd()) / ".env"
    return here if here.is_file() else ROOT / ".env"


def _read_settings(environ: Mapping[str, str]) -> tuple[ProjectConfig, ServingConfig, Guard]:
    """config.yaml, and what the environment says."""
    project = load_project_anywhere()
    config = listening(project.serving, environ)
    return project, config, guard(environ, config.rate_limit)


def _read_again(given: Mapping[str, str]) -> tuple[ServingConfig, Guard]:
    """The same, later: from what the process was given, and what stands in .env by now."""
    in_file = {name: value for name, value in dotenv_values(_env_file()).items() if value is not None}
    _, config, who = _read_settings({**in_file, **given})
    return config, who


def _put_together(project: ProjectConfig, config: ServingConfig, who: Guard) -> tuple[ModelHolder, Flask]:
    share_arenas()
    default = holder_of(project, os.environ)
    models = Models(default, registry_of(project, os.environ))
    return default, create_app(models, config, ROOT, who, project.paths)


if __name__ == "__main__":
    sys.exit(main())
else:
    app = make_app()
