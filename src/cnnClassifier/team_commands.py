"""Commands for a shared registry and store: backup, restore and dagshub. `add_to` puts them on the app.

Each calls one function of the package; heavy imports happen inside.
"""

from pathlib import Path
from typing import Annotated

import typer

from cnnClassifier.option_checks import not_empty, refuse_without

DatabaseOption = Annotated[
    str | None,
    typer.Option(
        envvar="MLFLOW_BACKEND_STORE_URI",
        callback=not_empty,
        help="Database of an MLflow server, sqlite:// or postgresql:// (default: this project's mlflow.db).",
    ),
]
ArtifactsOption = Annotated[
    str | None,
    typer.Option(
        envvar="MLFLOW_ARTIFACTS_DESTINATION",
        callback=not_empty,
        help="With --database: where that server keeps artifacts, a folder or s3://bucket/path.",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (backup, restore, dagshub):
        app.command()(command)


def backup(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="File to write, such as registry.tar.")],
    database: DatabaseOption = None,
    artifacts: ArtifactsOption = None,
    log: Annotated[Path | None, typer.Option(help="Prediction log (SQLite) to add to the backup.")] = None,
) -> None:
    """Back up the registry to one file.

    With all runs, models, aliases and artifacts. Others may go on using the registry.
    """
    from cnnClassifier.backup.command import backup
    from cnnClassifier.backup.stores import choose_store
    from cnnClassifier.config.loading import load_project
    from cnnClassifier.tracking.connection import connect

    _check_store(context, database, artifacts)
    typer.echo(backup(choose_store(connect(load_project().tracking), database, artifacts), out, log))


def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="File that `backup` wrote.")],
    database: DatabaseOption = None,
    artifacts: ArtifactsOption = None,
    log: Annotated[Path | None, typer.Option(help="Where to put the prediction log, if the backup holds one.")] = None,
) -> None:
    """Restore a backup into an empty registry. Runs, versions and aliases stay the same."""
    from cnnClassifier.backup.command import restore
    from cnnClassifier.backup.stores import choose_store
    from cnnClassifier.config.loading import load_project
    from cnnClassifier.tracking.connection import connect

    _check_store(context, database, artifacts)
    typer.echo(restore(file, choose_store(connect(load_project().tracking), database, artifacts), log))


def dagshub(
    owner: Annotated[str, typer.Argument(help="Owner of the repository: jane, in dagshub.com/jane/chest-ct.")],
    repository: Annotated[str, typer.Argument(help="Name of the repository: chest-ct.")],
) -> None:
    """Use a DagsHub repository for DVC and MLflow. The token is written only to files that git ignores."""
    from cnnClassifier.dagshub_setup import set_up

    typer.echo(set_up(owner, repository))


def _check_store(context: typer.Context, database: str | None, artifacts: str | None) -> None:
    """ConfigError for --artifacts alone. As a variable it may stand alone: other commands read it, too."""
    source = context.get_parameter_source("artifacts")
    if source is not None and source.name == "COMMANDLINE":
        refuse_without("--artifacts", artifacts, "--database", database is not None)
