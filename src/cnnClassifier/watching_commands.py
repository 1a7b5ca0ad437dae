"""Commands that watch a served model: drift and feedback. `add_to` puts them on the app.

Heavy imports happen inside.
"""

from pathlib import Path
from typing import Annotated

import typer

from cnnClassifier.commands import ModelOption, PackageOption
from cnnClassifier.option_checks import not_empty

LogOption = Annotated[
    Path | None,
    typer.Option("--log", help="Prediction log (default: CNNCLASSIFIER_PREDICTION_LOG, else config.yaml's)."),
]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (drift, feedback):
        app.command()(command)


def drift(
    log: LogOption = None,
    since: Annotated[
        str, typer.Option(help="Start: 90m, 24h, 7d or 2w ago, or a date such as 2026-11-26T08:00.")
    ] = "7d",
    until: Annotated[str, typer.Option(help="End, in the same form; 0m is now.")] = "0m",
    model: ModelOption = None,
    package: PackageOption = None,
    out: Annotated[Path, typer.Option(help="HTML report to write.")] = Path("drift.html"),
) -> None:
    """Compare recently served images with the training images. Exit code 1: drift alarm."""
    import os

    from cnnClassifier.asking.models import choose_model
    from cnnClassifier.monitoring.checking import Period, check, in_words, log_path
    from cnnClassifier.monitoring.reading import parse_moment
    from cnnClassifier.shipped import load_project_anywhere

    project = load_project_anywhere()
    path = log_path(log, os.environ, project.serving.prediction_log)
    period = Period(parse_moment(since, "--since"), parse_moment(until, "--until"))
    checked = check(path, choose_model(project, model, package), period, out)
    typer.echo(f"{in_words(checked)}; {out}")
    if checked.alarms:
        raise typer.Exit(1)


def feedback(
    out: Annotated[Path, typer.Option(help="Table (CSV) to write; data_ingestion reads it as source.kind: csv.")],
    images: Annotated[Path | None, typer.Option(help="Folder of your images, matched to labels by SHA-256.")] = None,
    log: LogOption = None,
    model: Annotated[
        str | None, typer.Option(callback=not_empty, help="Export only labels of this model's answers.")
    ] = None,
) -> None:
    """Export readers' labels as a table for data_ingestion. The server keeps no images: bring yours."""
    import os

    from cnnClassifier.monitoring.checking import log_path
    from cnnClassifier.monitoring.exporting import export_feedback
    from cnnClassifier.shipped import load_project_anywhere

    path = log_path(log, os.environ, load_project_anywhere().serving.prediction_log)
    typer.echo(export_feedback(path, out, images, model))
