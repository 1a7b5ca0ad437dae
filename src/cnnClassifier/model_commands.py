"""Commands that choose, test and publish models: sweep to export. `add_to` puts them on the app.

Each calls one function of the package; heavy imports happen inside.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cnnClassifier.option_checks import not_empty, refuse_together, refuse_without

DEALS = 3  # of the folds, for `robustness`


class Format(StrEnum):
    """What a model can be exported as: formats/kinds.py without NumPy, which would be loaded for every command."""

    ONNX = "onnx"
    LITERT = "litert"
    KERAS = "keras"
    SAVED_MODEL = "saved_model"


class Split(StrEnum):
    """Which images `robustness` is measured on."""

    TRAIN = "train"
    TEST = "test"


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (sweep, compare, ensemble, robustness, export, release, promote):
        app.command()(command)
    app.command("import-model")(import_model)


def sweep(
    name: Annotated[str, typer.Argument(help="Name of a file config/sweeps/<name>.yaml.")] = "head",
    trials: Annotated[int | None, typer.Option(min=1, help="Total number of trials (default: the file's).")] = None,
    timeout: Annotated[float | None, typer.Option(min=0, help="Start no new trial after this many minutes.")] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            envvar="CNNCLASSIFIER_SWEEP_STORAGE",
            callback=not_empty,
            help="SQL database for the trials, such as postgresql://user@host/sweeps (default: a local file).",
        ),
    ] = None,
) -> None:
    """Search for better parameters by cross-validation. Rerun to resume.

    Folds keep each patient's images together; frozen features come from the cache.
    """
    from cnnClassifier.pipeline import run_sweep

    run_sweep(name, trials, timeout, storage)


def compare(
    candidates: Annotated[
        str | None,
        typer.Option(
            callback=not_empty,
            help="A YAML file, or a name in config/compare (default: the active experiment's).",
        ),
    ] = None,
    register: Annotated[
        bool, typer.Option(help="Write the winner into params.yaml and run the pipeline with it.")
    ] = True,
) -> None:
    """Compare candidates on the same folds; register the best.

    Writes the winner's parameters into params.yaml (backed up if you edited it) and runs the pipeline with them, which
    registers it. --no-register only compares. Rerun to resume.
    """
    from cnnClassifier.pipeline import run_compare

    run_compare(candidates, register)


def ensemble(
    name: Annotated[str, typer.Argument(help="Name to register it under; may be a member's.")],
    of: Annotated[list[str], typer.Option(help="Members, two or more: a model's name, model@alias or model/version.")],
    more: Annotated[list[str] | None, typer.Argument(help="Further members, after --of.", show_default=False)] = None,
) -> None:
    """Register the mean of several models as one model. It is the mean of their calibrated probabilities."""
    from cnnClassifier.pipeline import make_ensemble

    typer.echo(make_ensemble(name, [*of, *(more or [])]))


def robustness(
    images: Annotated[
        int, typer.Option(min=1, help="How many images at most, spread over as many patients as possible.")
    ] = 200,
    split: Annotated[
        Split,
        typer.Option(help="train: cross-validated predictions; test: the trained model on the test split."),
    ] = Split.TRAIN,
    strongest: Annotated[
        int, typer.Option(min=1, max=5, help="Strongest level to measure, 1-5; 1 and 2 are mild.")
    ] = 5,
    deals: Annotated[
        int | None,
        typer.Option(min=1, help=f"With --split train: how many times to redraw the folds (default: {DEALS})."),
    ] = None,
) -> None:
    """Measure how much noise, blur and other corruptions cost. Rerun to resume."""
    from cnnClassifier.pipeline import print_robustness

    refuse_without("--deals", deals, "--split train", split is Split.TRAIN)
    print_robustness(split.value, images, strongest, deals or DEALS)


def export(
    kind: Annotated[Format, typer.Option("--format", help="File format to write.")],
    out: Annotated[Path, typer.Option(help="Folder to write: the model, model.json and export.json.")],
    model: Annotated[
        str | None, typer.Option(help="Name of a registered model (default: the last run's model).")
    ] = None,
    version: Annotated[
        int | None, typer.Option(min=1, help="With --model: version number (default: the champion).")
    ] = None,
    alias: Annotated[
        str | None,
        typer.Option(callback=not_empty, help="With --model: alias to export instead, such as challenger."),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of images to compare on (default: the last run's test images).")
    ] = None,
) -> None:
    """Export a model as ONNX, LiteRT, Keras or SavedModel.

    Written only if its outputs match on real images.
    """
    from cnnClassifier.formats import kinds
    from cnnClassifier.formats.command import Wish, export_model

    refuse_together("export", "two ways to choose a version", {"--version": version, "--alias": alias})
    typer.echo(export_model(kinds.Format(kind), out, Wish(model, version, alias), images))


def release() -> None:
    """Pack the last run's model into models/<name> for git.

    Its weights in half precision, with its metrics, parameters and predictions.
    """
    from cnnClassifier.pipeline import release

    typer.echo(release())


def promote(
    version: Annotated[int, typer.Argument(help="Number of the version to make champion.")],
    because: Annotated[str, typer.Option(help="Why; recorded with the version.")],
    name: Annotated[
        str | None,
        typer.Option(callback=not_empty, help="Registered model (default: the active experiment's)."),
    ] = None,
) -> None:
    """Make a version champion by hand, overriding the gate. The reason is recorded with it."""
    from cnnClassifier.pipeline import promote_version

    typer.echo(promote_version(version, because, name))


def import_model() -> None:
    """Register the model shipped with the code.

    It becomes version 1 and champion. Also works on a remote server.
    """
    from cnnClassifier.pipeline import import_released

    typer.echo(import_released())
