"""`python main.py score`: a folder of Parquet files with one row per image. `add_to` puts it on the app."""

import os
from pathlib import Path
from typing import Annotated

import typer

from cnnClassifier.commands import ModelOption, PackageOption, cluster_of
from cnnClassifier.option_checks import not_empty, refuse_without


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(score)


def score(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder, a manifest (CSV or Parquet with a column path), or a file://, s3:// or gs:// address."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of Parquet files to write, or to resume.")],
    model: ModelOption = None,
    package: PackageOption = None,
    images: Annotated[
        str | None,
        typer.Option(
            callback=not_empty,
            help="Folder that the manifest's relative paths start from (default: the manifest's own).",
        ),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images per forward pass; each pass uses one core.")] = 1,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU cores (default: all; with --ray, 1 per worker).")
    ] = None,
    readers: Annotated[int, typer.Option(min=1, help="Threads that read and decode images.")] = 4,
    part: Annotated[int, typer.Option(min=1, help="Images per Parquet file.")] = 500,
    ray: Annotated[
        str | None, typer.Option(help="Address of a Ray cluster, such as 10.0.0.5:6379 or auto; needs .[ray].")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="With --ray: number of workers (default: as many as fit).")
    ] = None,
) -> None:
    """Classify many images into Parquet files. Rerun to resume. Exit code 1: some were unreadable."""
    # Before NumPy is loaded: its idle threads would spin on the cores that the network needs (docs/serving.md).
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from cnnClassifier.scoring.run import Wish, score_images

    refuse_without("--images", images, "a manifest", _is_manifest(source))
    cluster = cluster_of(ray, workers, threads)
    if score_images(source, out, Wish(model, package, images, batch, threads, readers, part), cluster):
        raise typer.Exit(1)


def _is_manifest(source: str) -> bool:
    from cnnClassifier.scoring.addresses import MANIFESTS, absolute

    place = absolute(source)
    return "://" not in place and place.lower().endswith(MANIFESTS) and not Path(place).is_dir()
