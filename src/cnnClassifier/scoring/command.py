"""`python main.py score`: one row an image in a folder of Parquet files. `add_to` puts it on the app."""

import os
from pathlib import Path
from typing import Annotated

import typer

from cnnClassifier.commands import ModelOption, PackageOption, cluster_of


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(score)


def score(
    source: Annotated[
        str,
        typer.Argument(help="A folder, a manifest (CSV or Parquet with a column path), or file://, s3://, gs:// ..."),
    ],
    out: Annotated[Path, typer.Option(help="The folder of Parquet files to write, or to go on with.")],
    model: ModelOption = None,
    package: PackageOption = None,
    images: Annotated[
        str | None, typer.Option(help="What a manifest's relative paths are below (default: where it lies).")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images in one pass of the network, which takes one core.")] = 1,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Cores for the network; with --ray, of each worker (default: all; 1).")
    ] = None,
    readers: Annotated[int, typer.Option(min=1, help="Threads that read and decode ahead of the network.")] = 4,
    part: Annotated[int, typer.Option(min=1, help="Files answered into one Parquet file.")] = 500,
    ray: Annotated[
        str | None, typer.Option(help="A Ray cluster's address, such as 10.0.0.5:6379 or auto; needs .[ray].")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="With --ray: how many hold the model (default: as many as there is room).")
    ] = None,
) -> None:
    """Answer for many images, a row each. Again to go on where it stopped. 0: all were read; 1: a row says why not."""
    # Before NumPy is loaded: its idle threads would spin on the cores that the network needs (docs/serving.md).
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from cnnClassifier.scoring.run import Wish, score_images

    cluster = cluster_of(ray, workers, threads or 1)
    if score_images(source, out, Wish(model, package, images, batch, threads, readers, part), cluster):
        raise typer.Exit(1)
