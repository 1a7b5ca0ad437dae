"""The command line: chooses what runs, and turns errors into one line and an exit code.

Heavy imports (TensorFlow, MLflow) happen inside the commands that need them.
"""

import logging
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer
from dotenv import load_dotenv

from cnnClassifier import (
    __version__,
    commands,
    data_commands,
    model_commands,
    serving_command,
    team_commands,
    watching_commands,
)
from cnnClassifier.components import STAGES
from cnnClassifier.environment import WITHIN_PIPELINE
from cnnClassifier.errors import ConfigError
from cnnClassifier.explaining import explain
from cnnClassifier.help_sections import SectionedGroup
from cnnClassifier.importing import skip_final_collection
from cnnClassifier.option_checks import not_empty
from cnnClassifier.project_root import project_root
from cnnClassifier.scoring import command as scoring

INTERRUPTED = 130
UNFORESEEN = 70  # EX_SOFTWARE of sysexits.h; 1 is an answer of `drift`, `predict` and `score`
LOG_LEVEL = "CNNCLASSIFIER_LOG_LEVEL"
LEVELS = ("debug", "info", "warning", "error", "critical")

log = logging.getLogger(__name__)


STAGE_HELP = {
    "data_ingestion": "Stage 1: fetch the images and list them in a manifest.",
    "data_audit": "Stage 2: find copies and shortcuts, apply the policy.",
    "prepare_base_model": "Stage 3: build the backbone and an untrained head.",
    "training": "Stage 4: train the unfrozen layers and cross-validate.",
    "evaluation": "Stage 5: compute metrics, calibration, decision rules.",
    "registration": "Stage 6: export to ONNX, register, promote if better.",
}

app = typer.Typer(
    cls=SectionedGroup,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> int:
    """Run the command line. Returns 0 on success, 2 for an error that the message explains, 70 for another."""
    try:
        code = app(standalone_mode=False, obj=_set_up())
    except (typer.Exit, typer.Abort) as ended:
        return getattr(ended, "exit_code", 1)
    except KeyboardInterrupt:
        return _interrupted()
    except Exception as error:  # noqa: BLE001 - each is printed below
        if type(error).__module__.startswith(("click", "typer")):
            error.show()  # type: ignore[attr-defined]
            return 2
        if (line := explain(error)) is None:
            print(_traceback(), file=sys.stderr)  # noqa: T201
            return UNFORESEEN
        print(f"error: {line}", file=sys.stderr)  # noqa: T201
        if log.isEnabledFor(logging.DEBUG):
            log.debug("raised at\n%s", _traceback())
        return 2
    # With standalone_mode=False, typer returns exit codes instead of raising.
    return _interrupted() if code == INTERRUPTED else code or 0


def _traceback() -> str:
    from cnnClassifier.tracking.client import masked

    return masked(traceback.format_exc())


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cnnClassifier {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def pipeline(
    context: typer.Context,
    experiment: Annotated[
        str | None, typer.Option(help="First make config/experiments/<name>.yaml the active params.yaml.")
    ] = None,
    version: Annotated[  # noqa: ARG001 - its callback prints it
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Run the pipeline: every stage that is out of date, through DVC. Then print the results.

    With a command: run only that.
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

    app.command(stage, help=f"{STAGE_HELP[stage]} dvc.yaml runs it; `python main.py` skips it if it is up to date.")(
        run
    )


for _stage in STAGES:
    _add_stage(_stage)


@app.command()
def results() -> None:
    """Print the last run's results and what to do next."""
    from cnnClassifier.pipeline import print_results

    print_results()


@app.command()
def readme(
    sample: Annotated[
        str | None,
        typer.Option(
            callback=not_empty,
            help="In words, the part of the data that the run used: its metrics then go to docs/results.md only.",
        ),
    ] = None,
) -> None:
    """Update the tables of results in README.md and docs/. The last run's metrics are kept in docs/results/."""
    from cnnClassifier.pipeline import write_readme

    write_readme(sample)


commands.add_to(app)
data_commands.add_to(app)
model_commands.add_to(app)
scoring.add_to(app)
team_commands.add_to(app)
watching_commands.add_to(app)
serving_command.add_to(app)


def _interrupted() -> int:
    if WITHIN_PIPELINE not in os.environ:  # Inside the pipeline the parent process prints this.
        print("interrupted; run the same command again to go on", file=sys.stderr)  # noqa: T201
    return INTERRUPTED


def _set_up() -> dict[str, str]:
    """Prepare this process for any command.

    Returns the environment as it was before .env was read: `serve` reads .env again.
    """
    skip_final_collection()
    original = dict(os.environ)
    load_dotenv(project_root(Path.cwd()) / ".env")
    # Hide TensorFlow's start-up messages; without a GPU the first one is an error that means nothing here.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2" if Path("/dev/nvidiactl").exists() else "3")
    logging.basicConfig(level=_log_level(), format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    # TensorFlow warns about frequent retracing but counts different models as one function.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    for noisy in ("alembic", "absl", "faiss", "h5py", "matplotlib", "mlflow.store.db.utils", "tf2onnx", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return original


def _log_level() -> str:
    level = os.environ.get(LOG_LEVEL) or "info"
    if level.lower() not in LEVELS:
        raise ConfigError(f"{LOG_LEVEL}={level}: unknown log level; expected one of {', '.join(LEVELS)}")
    return level.upper()
