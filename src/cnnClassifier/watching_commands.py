"""Commands about a model in use: drift and feedback. `add_to` puts them on the app; heavy imports happen inside."""

from pathlib import Path
from typing import Annotated

import typer

from cnnClassifier.commands import ModelOption, PackageOption

LogOption = Annotated[
    Path | None,
    typer.Option("--log", help="The prediction log (default: CNNCLASSIFIER_PREDICTION_LOG, else config.yaml's)."),
]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (drift, feedback):
        app.command()(command)


def drift(
    log: LogOption = None,
    since: Annotated[str, typer.Option(help="From when: 90m, 24h, 7d or 2w ago, or 2026-11-26T08:00.")] = "7d",
    until: Annotated[str, typer.Option(help="... to when, likewise; 0m is now.")] = "0m",
    model: ModelOption = None,
    package: PackageOption = None,
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("drift.html"),
) -> None:
    """Compare the images in use with the training images. 0: no drift; 1: an alarm."""
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
    out: Annotated[Path, typer.Option(help="The table to write, which data_ingestion reads (source.kind: csv).")],
    images: Annotated[
        Path | None, typer.Option(help="Your folder of images: each label is put to the file it was given for.")
    ] = None,
    log: LogOption = None,
    model: Annotated[str | None, typer.Option(help="Only answers of this model.")] = None,
) -> None:
    """Write readers' labels as a manifest. Images are not kept here: yours are found by their SHA-256."""
    import os

    from cnnClassifier.monitoring.checking import log_path
    from cnnClassifier.monitoring.exporting import export_feedback
    from cnnClassifier.shipped import load_project_anywhere

    path = log_path(log, os.environ, load_project_anywhere().serving.prediction_log)
    typer.echo(export_feedback(path, out, images, model))
