"""Commands of those who share a registry and a store: backup, restore and dagshub. `add_to` puts them on the app.

Each calls one function of the package; heavy imports happen inside.
"""

from pathlib import Path
from typing import Annotated

import typer

DatabaseOption = Annotated[
    str | None,
    typer.Option(
        envvar="MLFLOW_BACKEND_STORE_URI",
        help="An MLflow server's database, sqlite:// or postgresql://; otherwise this project's mlflow.db.",
    ),
]
ArtifactsOption = Annotated[
    str | None,
    typer.Option(
        envvar="MLFLOW_ARTIFACTS_DESTINATION", help="Where that server keeps artifacts: a folder, or s3://bucket/path."
    ),
]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (backup, restore, dagshub):
        app.command()(command)


def backup(
    out: Annotated[Path, typer.Option(help="The file to write, such as registry.tar.")],
    database: DatabaseOption = None,
    artifacts: ArtifactsOption = None,
    log: Annotated[Path | None, typer.Option(help="A prediction log (SQLite) to put into it, too.")] = None,
) -> None:
    """Write the registry to one file. Runs, models, aliases, artifacts; others may go on using it."""
    from cnnClassifier.backup.command import backup
    from cnnClassifier.backup.stores import choose_store
    from cnnClassifier.config.loading import load_project
    from cnnClassifier.tracking.connection import connect

    typer.echo(backup(choose_store(connect(load_project().tracking), database, artifacts), out, log))


def restore(
    file: Annotated[Path, typer.Argument(help="What `backup` wrote.")],
    database: DatabaseOption = None,
    artifacts: ArtifactsOption = None,
    log: Annotated[Path | None, typer.Option(help="Where the prediction log goes, if the file holds one.")] = None,
) -> None:
    """Fill an unused registry from a backup. Here or on a server: the same runs, versions and aliases."""
    from cnnClassifier.backup.command import restore
    from cnnClassifier.backup.stores import choose_store
    from cnnClassifier.config.loading import load_project
    from cnnClassifier.tracking.connection import connect

    typer.echo(restore(file, choose_store(connect(load_project().tracking), database, artifacts), log))


def dagshub(
    owner: Annotated[str, typer.Argument(help="Whose repository: jane, in dagshub.com/jane/chest-ct.")],
    repository: Annotated[str, typer.Argument(help="Its name: chest-ct.")],
) -> None:
    """Use a DagsHub repository for DVC and MLflow. The token goes where git does not look."""
    from cnnClassifier.dagshub_setup import set_up

    typer.echo(set_up(owner, repository))
