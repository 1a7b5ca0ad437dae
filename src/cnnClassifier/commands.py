"""Commands with the habits of other projects' scripts: train, predict and evaluate. `add_to` puts them on the app.

Each calls one function of the package; heavy imports happen inside.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cnnClassifier.errors import ConfigError
from cnnClassifier.ray_cluster import Cluster


class Format(StrEnum):
    """How answers are written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


class Schedule(StrEnum):
    """How the learning rate changes."""

    CONSTANT = "constant"
    COSINE = "cosine"
    PLATEAU = "plateau"


class Precision(StrEnum):
    """What the trainable part computes in."""

    FLOAT32 = "float32"
    MIXED_FLOAT16 = "mixed_float16"
    MIXED_BFLOAT16 = "mixed_bfloat16"


ModelOption = Annotated[
    str | None,
    typer.Option("--model", help="A registered model's name; its champion is asked (default: as served)."),
]
PackageOption = Annotated[
    Path | None, typer.Option("--package", help="A folder with model.onnx and model.json; no registry is asked.")
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


def cluster_of(ray: str | None, workers: int | None, threads: int) -> Cluster | None:
    """The Ray cluster that a command's options name, None without one.

    ConfigError for an empty address, as of a variable that is not set, and for workers of no cluster.
    """
    if ray is None:
        if workers is not None:
            raise ConfigError("--workers: says how many of a Ray cluster's workers; name the cluster with --ray")
        return None
    if not ray.strip():
        raise ConfigError("--ray: the address is empty; give one such as 10.0.0.5:6379, or leave the option out")
    return Cluster(ray, workers, threads)


def train(
    experiment: Annotated[
        str | None, typer.Option(help="Make config/experiments/<name>.yaml the active params.yaml first.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="training.epochs: at most; early stopping may end it.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="training.learning_rate.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="training.batch_size.")] = None,
    patience: Annotated[int | None, typer.Option(help="training.patience: epochs without a better loss.")] = None,
    schedule: Annotated[Schedule | None, typer.Option(help="training.schedule of the learning rate.")] = None,
    warmup: Annotated[int | None, typer.Option(help="training.warmup: epochs in which the rate rises.")] = None,
    precision: Annotated[Precision | None, typer.Option(help="training.precision of the trainable part.")] = None,
    model_name: Annotated[
        str | None, typer.Option(help="registration.name; .h5 or .keras at its end is dropped.")
    ] = None,
    backbone: Annotated[str | None, typer.Option(help="prepare_base_model.backbone, such as DenseNet201.")] = None,
    transfer_learning: Annotated[
        bool | None,
        typer.Option(
            "--transfer-learning/--no-transfer-learning",
            help="Pretrained weights, frozen; or none, and the whole network is trained.",
        ),
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(help="prepare_base_model.preprocessing.image_size, in pixels.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would change, and change nothing.")] = False,
) -> None:
    """Change values of params.yaml and run the pipeline. Comments stay; your own edits are kept aside."""
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
        Format | None, typer.Option(help="How answers are written (default: as the file ends, or a table).")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="A file to write them to; the terminal otherwise.")] = None,
) -> None:
    """Say what a model makes of images. 0: all were answered; 1: a file could not be read (its row says why)."""
    from cnnClassifier.asking.predict import predict_files

    ending = out.suffix.removeprefix(".").lower() if out else ""
    form = format.value if format else ending if ending in ("json", "csv") else Format.TABLE.value
    if predict_files(files, model, package, form, out):
        raise typer.Exit(1)


def evaluate(
    data: Annotated[Path, typer.Option(help="A folder of class folders.")],
    model: ModelOption = None,
    package: PackageOption = None,
    out: Annotated[Path, typer.Option(help="Where report.html, metrics.json, answers.csv and plots go.")] = Path(
        "artifacts/evaluate"
    ),
    resamples: Annotated[int, typer.Option(min=100, help="Bootstrap draws for each interval.")] = 1000,
) -> None:
    """Judge a model on labelled images in class folders. Metrics with intervals, and every usual plot."""
    from cnnClassifier.asking.evaluate import evaluate_folder

    evaluate_folder(data, model, package, out, resamples)
