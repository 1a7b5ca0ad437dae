"""`cnnclassifier serve`: the web app, wherever the package is installed. `add_to` puts it on the command line."""

import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from cnnClassifier.errors import ConfigError


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(serve)


def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="serving.host: address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="serving.port: port to listen on.")] = None,
    package: Annotated[
        Path | None, typer.Option(help="Serve this folder (model.onnx, model.json) instead of the registry's model.")
    ] = None,
) -> None:
    """Serve the web page and the API, as `python app.py` does. With the champion, else the released model."""
    from cnnClassifier.shipped import HOME
    from cnnClassifier.web.model_source import MODEL_DIR

    if package is not None:
        _check_package(package)
    if find_spec("flask") is None:  # app.py would fail with a traceback
        raise ModuleNotFoundError("the app needs Flask", name="flask")
    given = {"HOST": host, "PORT": port, MODEL_DIR: package}
    options = {name: str(value) for name, value in given.items() if value is not None}
    _become([sys.executable, str(HOME / "app.py")], {**(context.obj or os.environ), **options})


def _check_package(folder: Path) -> None:
    """ConfigError for a folder without a model. Fail now: someone is at the terminal to read it."""
    from cnnClassifier.model_spec import ONNX_FILE, SPEC_FILE

    for name in (ONNX_FILE, SPEC_FILE):
        if not (folder / name).is_file():
            raise ConfigError(f"--package {folder}: there is no {name}; name a package folder, such as models/chest_ct")


def _become(command: list[str], environ: Mapping[str, str]) -> None:
    """Replace this process by a program: it sets up its own log and libraries, and reads .env itself."""
    if os.name == "nt":  # There the shell would not wait for the replacement.
        raise typer.Exit(subprocess.call(command, env=environ))
    os.execve(command[0], command, environ)  # noqa: S606 - no shell is wanted
