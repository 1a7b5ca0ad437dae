"""The command line: chooses what runs, and turns errors into one line and an exit code.

Heavy imports (TensorFlow, MLflow) happen inside the commands that need them.
"""

import logging
import os
import sys
import traceback
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from dotenv import load_dotenv

from cnnClassifier import commands, serving_command, team_commands, watching_commands
from cnnClassifier.components import STAGES
from cnnClassifier.environment import WITHIN_PIPELINE
from cnnClassifier.errors import ConfigError
from cnnClassifier.explaining import explain
from cnnClassifier.formats.kinds import Format
from cnnClassifier.importing import end_at_once
from cnnClassifier.project_root import project_root
from cnnClassifier.scoring import command as scoring

INTERRUPTED = 130
LOG_LEVEL = "CNNCLASSIFIER_LOG_LEVEL"
LEVELS = ("debug", "info", "warning", "error", "critical")

log = logging.getLogger(__name__)


class Split(StrEnum):
    """Whose images are asked about."""

    TRAIN = "train"
    TEST = "test"


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


def main() -> int:
    """Run the command line; 0 when all went well, 2 for an error that the message explains."""
    try:
        code = app(standalone_mode=False, obj=_set_up())
    except (typer.Exit, typer.Abort) as ended:
        return getattr(ended, "exit_code", 1)
    except KeyboardInterrupt:
        return _interrupted()
    except Exception as error:
        if type(error).__module__.startswith(("click", "typer")):
            error.show()  # type: ignore[attr-defined]
            return 2
        if (line := explain(error)) is None:
            raise
        print(f"error: {line}", file=sys.stderr)  # noqa: T201
        if log.isEnabledFor(logging.DEBUG):
            from cnnClassifier.tracking.client import masked

            log.debug("where it was raised\n%s", masked(traceback.format_exc()))
        return 2
    # typer makes codes of Ctrl+C and of `typer.Exit`, and only returns them
    return _interrupted() if code == INTERRUPTED else code or 0


@app.callback(invoke_without_command=True)
def pipeline(
    context: typer.Context,
    experiment: Annotated[
        str | None, typer.Option(help="Make config/experiments/<name>.yaml the active params.yaml first.")
    ] = None,
) -> None:
    """Run every stage that is out of date, through DVC, and print the results.

    Without a command: the whole pipeline. With one: that stage or tool alone.
    """
    if context.invoked_subcommand is not None:
        commands.refuse_experiment(experiment, context.invoked_subcommand)
        return
    from cnnClassifier.pipeline import activate, print_results
    from cnnClassifier.reproducing import reproduce

    if experiment is not None:
        activate(experiment)
    reproduce()
    print_results()


def _add_stage(stage: str) -> None:
    def run() -> None:
        from cnnClassifier.pipeline import run_stage

        run_stage(stage)

    app.command(stage, help=f"Run the stage {stage} alone. dvc.yaml calls this.")(run)


for _stage in STAGES:
    _add_stage(_stage)


@app.command()
def audit(
    folder: Annotated[Path, typer.Argument(help="Class folders, with or without train/valid/test above them.")],
    out: Annotated[Path, typer.Option(help="Where audit.html, audit.json and pairs.csv go.")] = Path("audit"),
    near_copy: Annotated[
        float, typer.Option(min=0.5, max=1, help="Correlation from which two are one picture.")
    ] = 0.95,
    same_patient: Annotated[float, typer.Option(min=0.5, max=1, help="... from which they are one patient's.")] = 0.75,
) -> None:
    """Say what is wrong with a folder of images. Copies, conflicts, masks, shortcuts; needs no configuration."""
    from cnnClassifier.pipeline import audit_images

    audit_images(folder, out, near_copy, same_patient)


@app.command()
def robustness(
    images: Annotated[int, typer.Option(min=1, help="At most so many, of as many groups as there are.")] = 200,
    split: Annotated[
        Split, typer.Option(help="train: out of fold, over groups; test: the trained model on the test split.")
    ] = Split.TRAIN,
    strongest: Annotated[int, typer.Option(min=1, max=5, help="Measure up to this strength; 2 is mild.")] = 5,
    deals: Annotated[int, typer.Option(min=1, help="How often the folds are dealt anew.")] = 3,
) -> None:
    """Measure what noise, blur and other corruptions cost. Again to go on where it stopped."""
    from cnnClassifier.pipeline import print_robustness

    print_robustness(split.value, images, strongest, deals)


@app.command()
def results() -> None:
    """Print the last run's results and what to type next."""
    from cnnClassifier.pipeline import print_results

    print_results()


@app.command()
def features(
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove what killed runs left, then what was used longest ago.")
    ] = False,
    limit_gb: Annotated[float | None, typer.Option(min=0, help="Prune to this size, not config.yaml's.")] = None,
    share: Annotated[bool, typer.Option("--share", help="Only copy it to features/, for `dvc push`.")] = False,
    ray: Annotated[
        str | None, typer.Option(help="Only fill it for the active experiment, on the Ray cluster at this address.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="With --ray: how many hold the network (default: as there is room).")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="With --ray: cores of each of them.")] = 1,
) -> None:
    """Say what the store of frozen features holds. Make it smaller, or fill it."""
    from cnnClassifier.pipeline import fill_features, print_features, share_features

    cluster = commands.cluster_of(ray, workers, threads)
    if share:
        return typer.echo(share_features())
    if cluster:
        return typer.echo(fill_features(cluster))
    return print_features(prune, limit_gb)


@app.command()
def readme(
    sample: Annotated[
        str | None, typer.Option(help="What the run saw, if not its whole data; for docs/results.md, not README.md.")
    ] = None,
) -> None:
    """Write the tables of results in README.md and docs/. The last run's metrics are kept in docs/results/."""
    from cnnClassifier.pipeline import write_readme

    write_readme(sample)


@app.command()
def sweep(
    name: Annotated[str, typer.Argument(help="Which of config/sweeps/<name>.yaml.")] = "head",
    trials: Annotated[int | None, typer.Option(min=1, help="How many in all; the file says it otherwise.")] = None,
    timeout: Annotated[float | None, typer.Option(min=0, help="Minutes after which no trial is begun.")] = None,
    storage: Annotated[
        str | None, typer.Option(envvar="CNNCLASSIFIER_SWEEP_STORAGE", help="Where trials are kept: an SQL address.")
    ] = None,
) -> None:
    """Search better parameters by cross-validation. By groups, on cached features; again to go on where it stopped."""
    from cnnClassifier.pipeline import run_sweep

    run_sweep(name, trials, timeout, storage)


@app.command()
def compare(
    candidates: Annotated[
        str | None, typer.Option(help="A file, or which of config/compare/<name>.yaml; else the experiment's name.")
    ] = None,
    register: Annotated[
        bool, typer.Option(help="Then make the best one's parameters params.yaml and run the pipeline with them.")
    ] = True,
) -> None:
    """Train candidates on the same folds, register the best. Say how sure it is that it is best."""
    from cnnClassifier.pipeline import run_compare

    run_compare(candidates, register)


@app.command()
def ensemble(
    name: Annotated[str, typer.Argument(help="Under which name it is registered; a member's own name will do.")],
    of: Annotated[list[str], typer.Option(help="Members: model, model@alias or model/version, two or more.")],
    more: Annotated[list[str] | None, typer.Argument(help="Further members, after --of.", show_default=False)] = None,
) -> None:
    """Register the mean of several models as one model. It is the mean of their calibrated probabilities."""
    from cnnClassifier.pipeline import make_ensemble

    typer.echo(make_ensemble(name, [*of, *(more or [])]))


@app.command()
def promote(
    version: Annotated[int, typer.Argument(help="Which version of the active experiment's model.")],
    because: Annotated[str, typer.Option(help="Why; recorded with the version.")],
    name: Annotated[str | None, typer.Option(help="Which model's, if it is not the active experiment's.")] = None,
) -> None:
    """Make a version champion although the gate did not. The reason is kept with it."""
    from cnnClassifier.pipeline import promote_version

    typer.echo(promote_version(version, because, name))


@app.command()
def release() -> None:
    """Make the finished run's model a folder to commit. models/<name>: half precision, metrics, parameters."""
    from cnnClassifier.pipeline import release

    typer.echo(release())


@app.command("import-model")
def import_model() -> None:
    """Register the model that comes with the code. As version 1 and champion, also in a server of your own."""
    from cnnClassifier.pipeline import import_released

    typer.echo(import_released())


@app.command()
def export(
    kind: Annotated[Format, typer.Option("--format", help="What other programs are to read.")],
    out: Annotated[Path, typer.Option(help="The folder to write: the model, model.json, and what was compared.")],
    model: Annotated[str | None, typer.Option(help="A registered model's name; otherwise the finished run's.")] = None,
    version: Annotated[int | None, typer.Option(min=1, help="Its version; otherwise what has the alias.")] = None,
    alias: Annotated[str | None, typer.Option(help="... such as challenger; otherwise champion.")] = None,
    images: Annotated[
        Path | None, typer.Option(help="A folder of images to compare on; otherwise the last run's test images.")
    ] = None,
) -> None:
    """Write the model as ONNX, LiteRT, .keras or SavedModel. Only if it says the same on real images."""
    from cnnClassifier.formats.command import Wish, export_model

    typer.echo(export_model(kind, out, Wish(model, version, alias), images))


commands.add_to(app)
scoring.add_to(app)
team_commands.add_to(app)
watching_commands.add_to(app)
serving_command.add_to(app)


def _interrupted() -> int:
    if WITHIN_PIPELINE not in os.environ:  # else `python main.py`, which started this stage, says it
        print("interrupted; run the same command again to go on", file=sys.stderr)  # noqa: T201
    return INTERRUPTED


def _set_up() -> dict[str, str]:
    """Ready this process for any command; the environment as it was given, for `serve`, which reads .env again."""
    end_at_once()
    given = dict(os.environ)
    load_dotenv(project_root(Path.cwd()) / ".env")
    # TensorFlow's start-up notes are no news, and without a GPU its first line is an error about that.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2" if Path("/dev/nvidiactl").exists() else "3")
    logging.basicConfig(level=_log_level(), format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    # It warns of functions traced often, and counts those of different models as one.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    for noisy in ("alembic", "absl", "faiss", "h5py", "matplotlib", "mlflow.store.db.utils", "tf2onnx", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return given


def _log_level() -> str:
    level = os.environ.get(LOG_LEVEL) or "info"
    if level.lower() not in LEVELS:
        raise ConfigError(f"{LOG_LEVEL}={level}: no level of the log; it may be {', '.join(LEVELS)}")
    return level.upper()
