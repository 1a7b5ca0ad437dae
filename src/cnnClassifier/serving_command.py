"""`cnnclassifier serve`: the web app from wherever the package is installed. `add_to` puts it on the command line."""

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
    host: Annotated[str | None, typer.Option(help="serving.host: the address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="serving.port.")] = None,
    package: Annotated[
        Path | None, typer.Option(help="A folder with model.onnx and model.json to serve; no registry is asked.")
    ] = None,
) -> None:
    """Serve the page and the API, as `python app.py` does. The champion answers, else the released model."""
    from cnnClassifier.shipped import HOME
    from cnnClassifier.web.model_source import MODEL_DIR

    if package is not None:
        _check_package(package)
    if find_spec("flask") is None:  # app.py would say so with a traceback
        raise ModuleNotFoundError("the app needs Flask", name="flask")
    said = {"HOST": host, "PORT": port, MODEL_DIR: package}
    options = {name: str(value) for name, value in said.items() if value is not None}
    _become([sys.executable, str(HOME / "app.py")], {**(context.obj or os.environ), **options})


def _check_package(folder: Path) -> None:
    """ConfigError for a folder that is none: whoever types it is there to read that, and waits for no other."""
    from cnnClassifier.model_spec import ONNX_FILE, SPEC_FILE

    for name in (ONNX_FILE, SPEC_FILE):
        if not (folder / name).is_file():
            raise ConfigError(f"--package {folder}: there is no {name}; name a package folder, such as models/chest_ct")


def _become(command: list[str], environ: Mapping[str, str]) -> None:
    """Let a program take this process's place: it sets up its own log and libraries, and reads .env as its own."""
    if os.name == "nt":  # there, the shell would not wait for what comes in its place
        raise typer.Exit(subprocess.call(command, env=environ))
    os.execve(command[0], command, environ)  # noqa: S606 - no shell is wanted
