"""Commands about images and their features: audit and features. `add_to` puts them on the app.

Each calls one function of the package; heavy imports happen inside.
"""

from pathlib import Path
from typing import Annotated

import typer

from cnnClassifier.commands import cluster_of
from cnnClassifier.option_checks import refuse_together, refuse_without


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (audit, features):
        app.command()(command)


def audit(
    folder: Annotated[
        Path, typer.Argument(help="Folder with one subfolder per class, with or without train/valid/test above them.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for audit.html, audit.json and pairs.csv.")] = Path("audit"),
    near_copy: Annotated[
        float,
        typer.Option(min=0.5, max=1, help="Two images that correlate at least this much count as one picture."),
    ] = 0.95,
    same_patient: Annotated[
        float,
        typer.Option(min=0.5, max=1, help="Two images that correlate at least this much count as one patient's."),
    ] = 0.75,
) -> None:
    """Check a folder of images for copies and label conflicts.

    Also for masks, and for shortcuts: file facts, borders or grey levels that give the class away. Needs no
    configuration.
    """
    from cnnClassifier.pipeline import audit_images

    audit_images(folder, out, near_copy, same_patient)


def features(
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Delete leftovers of killed runs, then the least recently used features."),
    ] = False,
    limit_gb: Annotated[
        float | None, typer.Option(min=0, help="With --prune: size to prune to (default: features.limit_gb).")
    ] = None,
    share: Annotated[
        bool, typer.Option("--share", help="Copy the cache to features/ for `dvc push`, and do nothing else.")
    ] = False,
    ray: Annotated[
        str | None,
        typer.Option(
            help="Address of a Ray cluster, such as 10.0.0.5:6379 or auto: fill the cache there for the active "
            "experiment, and do nothing else."
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="With --ray: number of workers (default: as many as fit).")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="With --ray: CPU cores per worker (default: 1).")] = None,
) -> None:
    """List, prune, share or fill the cache of frozen features."""
    from cnnClassifier.pipeline import fill_features, print_features, share_features

    refuse_together("features", "different jobs", {"--prune": prune, "--share": share, "--ray": ray})
    refuse_without("--limit-gb", limit_gb, "--prune", prune)
    refuse_without("--threads", threads, "--ray", ray is not None)
    cluster = cluster_of(ray, workers, threads)
    if share:
        return typer.echo(share_features())
    if cluster:
        return typer.echo(fill_features(cluster))
    return print_features(prune, limit_gb)
