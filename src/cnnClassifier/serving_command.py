"""`cnnclassifier serve`: the web app from wherever the package is installed. `add_to` puts it on the command line."""

import os
import runpy
from pathlib import Path
from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(serve)


def serve(
    host: Annotated[str | None, typer.Option(help="serving.host: the address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="serving.port.")] = None,
    package: Annotated[
        Path | None, typer.Option(help="A folder with model.onnx and model.json to serve; no registry is asked.")
    ] = None,
) -> None:
    """Serve the page and the API, as `python app.py` does. The champion answers, else the released model."""
    from cnnClassifier.shipped import HOME
    from cnnClassifier.web.model_source import MODEL_DIR

    given = {"HOST": host, "PORT": port, MODEL_DIR: package}
    os.environ.update({name: str(value) for name, value in given.items() if value is not None})
    runpy.run_path(str(HOME / "app.py"), run_name="__main__")
