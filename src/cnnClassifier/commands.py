"""Commands that look like ordinary training scripts: train, predict and evaluate. `add_to` puts them on the app.

Each calls one function of the package; heavy imports happen inside.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cnnClassifier.errors import ConfigError
from cnnClassifier.option_checks import not_empty, refuse_without
from cnnClassifier.ray_cluster import Cluster


class Format(StrEnum):
    """The format of predictions."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


class Schedule(StrEnum):
    """How the learning rate changes."""

    CONSTANT = "constant"
    COSINE = "cosine"
    PLATEAU = "plateau"


class Precision(StrEnum):
    """The number format of the trainable part."""

    FLOAT32 = "float32"
    MIXED_FLOAT16 = "mixed_float16"
    MIXED_BFLOAT16 = "mixed_bfloat16"


ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        callback=not_empty,
        help="Registered model whose champion to use (default: the model `serve` would use).",
    ),
]
PackageOption = Annotated[
    Path | None,
    typer.Option("--package", help="Use this folder (model.onnx, model.json) instead of the registry."),
]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (train, predict, evaluate):
        app.command()(command)


def refuse_experiment(experiment: str | None, command: str) -> None:
    """ConfigError for an experiment named before a command: alone it works on params.yaml, which may be another's."""
    if experiment is not None:
        raise ConfigError(
            f"--experiment {experiment}: `{command}` does not take it here, it works on the active params.yaml. "
            f"`python main.py --experiment {experiment}` runs the whole pipeline with it, "
            f"`python main.py train --experiment {experiment}` also with changed values"
        )


def cluster_of(ray: str | None, workers: int | None, threads: int | None) -> Cluster | None:
    """The Ray cluster that a command's options name, None without one.

    ConfigError for an empty address, as of a variable that is not set, and for --workers without a cluster.
    """
    refuse_without("--workers", workers, "--ray", ray is not None)
    if ray is None:
        return None
    if not ray.strip():
        raise ConfigError("--ray: the address is empty; give one such as 10.0.0.5:6379, or leave the option out")
    return Cluster(ray, workers, threads or 1)


def train(
    experiment: Annotated[
        str | None, typer.Option(help="First make config/experiments/<name>.yaml the active params.yaml.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="training.epochs: the most epochs; early stopping may end sooner.")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="training.learning_rate.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="training.batch_size.")] = None,
    patience: Annotated[
        int | None, typer.Option(help="training.patience: stop after this many epochs without improvement.")
    ] = None,
    schedule: Annotated[Schedule | None, typer.Option(help="training.schedule: how the learning rate changes.")] = None,
    warmup: Annotated[
        int | None, typer.Option(help="training.warmup: epochs over which the learning rate rises.")
    ] = None,
    precision: Annotated[
        Precision | None, typer.Option(help="training.precision: number format of the trainable part.")
    ] = None,
    model_name: Annotated[
        str | None, typer.Option(help="registration.name: name in the registry; a final .h5 or .keras is dropped.")
    ] = None,
    backbone: Annotated[str | None, typer.Option(help="prepare_base_model.backbone, such as DenseNet201.")] = None,
    transfer_learning: Annotated[
        bool | None,
        typer.Option(
            "--transfer-learning/--no-transfer-learning",
            help="Freeze pretrained weights, or train the whole network from scratch.",
        ),
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(help="prepare_base_model.preprocessing.image_size, in pixels.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the changes and stop.")] = False,
) -> None:
    """Change params.yaml and run the pipeline.

    A params.yaml that you edited is backed up first; its comments are kept.
    """
    from cnnClassifier.config.loading import PARAMS_FILE, experiment_file, load_settings
    from cnnClassifier.overrides import for_model_name, for_network, plan_edit
    from cnnClassifier.pipeline import activate, keep_edits_aside, print_results
    from cnnClassifier.reproducing import reproduce

    source = PARAMS_FILE if experiment is None else experiment_file(experiment)
    given = {
        "training.epochs": epochs,
        "training.learning_rate": learning_rate,
        "training.batch_size": batch_size,
        "training.patience": patience,
        "training.schedule": schedule and schedule.value,
        "training.warmup": warmup,
        "training.precision": precision and precision.value,
        "prepare_base_model.preprocessing.image_size": image_size,
    }
    wanted = {key: value for key, value in given.items() if value is not None}
    wanted |= {} if model_name is None else for_model_name(model_name)
    if backbone is not None or transfer_learning is not None:
        wanted |= for_network(load_settings(source).prepare_base_model, backbone, transfer_learning)
    edit = plan_edit(wanted, source)
    typer.echo(f"{source}:" if edit.changes else f"{source}: has these values already; nothing is changed")
    for change in edit.changes:
        typer.echo(f"  {change}")
    if dry_run:
        return
    if experiment is not None:
        activate(experiment)
    elif edit.changes:
        keep_edits_aside()
    edit.write_to(PARAMS_FILE)
    reproduce()
    print_results()


def predict(
    files: Annotated[list[Path], typer.Argument(help="Images, DICOM files, .zip archives, or folders of them.")],
    model: ModelOption = None,
    package: PackageOption = None,
    format: Annotated[  # noqa: A002
        Format | None,
        typer.Option(help="Output format (default: by the ending of --out, .json or .csv; else a table)."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File to write (default: the terminal).")] = None,
) -> None:
    """Classify images. Exit code 0: all answered; 1: some files were unreadable."""
    from cnnClassifier.asking.predict import predict_files

    ending = out.suffix.removeprefix(".").lower() if out else ""
    form = format.value if format else ending if ending in ("json", "csv") else Format.TABLE.value
    if predict_files(files, model, package, form, out):
        raise typer.Exit(1)


def evaluate(
    data: Annotated[Path, typer.Option(help="Folder with one subfolder per class.")],
    model: ModelOption = None,
    package: PackageOption = None,
    out: Annotated[Path, typer.Option(help="Folder for report.html, metrics.json, answers.csv and plots.")] = Path(
        "artifacts/evaluate"
    ),
    resamples: Annotated[int, typer.Option(min=100, help="Bootstrap resamples for each confidence interval.")] = 1000,
) -> None:
    """Evaluate a model on labelled images in class folders.

    Metrics with confidence intervals, and the usual plots.
    """
    from cnnClassifier.asking.evaluate import evaluate_folder

    evaluate_folder(data, model, package, out, resamples)
