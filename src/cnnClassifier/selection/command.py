"""`python main.py compare` from its file to its winner."""

import logging
from pathlib import Path

from cnnClassifier.config.types import Paths, Settings
from cnnClassifier.errors import ConfigError, TrackingError
from cnnClassifier.features.locks import alone
from cnnClassifier.selection.candidates import Judged, judge_all
from cnnClassifier.selection.plan import Candidate, comparison_file, load_candidates
from cnnClassifier.selection.report import Standings, rank, terminal_report, write_table
from cnnClassifier.selection.verdict import Draws
from cnnClassifier.sweep.judging import open_bench
from cnnClassifier.sweep.naming import lines_of, swept_sections
from cnnClassifier.terminal import console
from cnnClassifier.tracking.connection import Connection
from cnnClassifier.tracking.sweeps import SweepRun, TrialRun, open_sweep_run
from cnnClassifier.tracking.values import digest_of

FOLDER, TABLE = "compare", "candidates.csv"

log = logging.getLogger(__name__)


def compare_candidates(asked: str | None, settings: Settings, paths: Paths, connection: Connection) -> Candidate:
    """Train what is not trained yet, print the table and the verdict, log to MLflow; give the best candidate.

    `asked` is a file or a name in config/compare; without it, the active experiment's name. ConfigError while another
    process compares in this project: both would train in the same folders, and tell of it in the same run.
    """
    with alone(paths.cache / FOLDER) as is_alone:
        if not is_alone:
            raise ConfigError(
                f"{paths.cache / FOLDER}: another `compare` is at work in this project; wait until it has ended: what "
                "it has trained is not trained again"
            )
        return _compare(asked, settings, paths, connection)


def _compare(asked: str | None, settings: Settings, paths: Paths, connection: Connection) -> Candidate:
    file = comparison_file(asked or settings.registration.name)
    candidates = load_candidates(file, settings)
    bench = open_bench(settings, paths)
    folder = paths.cache / FOLDER
    plan = {each.name: swept_sections(each.settings) for each in candidates}
    in_order = list(plan.items())  # MLflow knows a candidate by its place
    study = f"{file.stem}-{digest_of([lines_of(bench.records), in_order])}"
    run = open_sweep_run(connection, settings, file.stem, study, plan, kind="compare")
    judged: list[Judged] = []
    try:
        for each in judge_all(candidates, bench, folder):
            judged.append(each)
            _log_to_mlflow(run, judged)
        evaluation = settings.evaluation
        found = rank(judged, Draws(evaluation.resamples, evaluation.confidence, evaluation.seed))
        table = folder / study / TABLE
        write_table(found, table)
        console().print(terminal_report(found, table))
    except BaseException:
        _close(run, "KILLED")
        raise
    _finish(run, found, table)
    return found.best.candidate


def _log_to_mlflow(run: SweepRun, judged: list[Judged]) -> None:
    """Those that the run lacks; a lost server costs a warning, never a result."""
    try:
        run.log_missing([_child(number, each) for number, each in enumerate(judged)])
    except TrackingError as error:
        log.warning("%s. The candidates are kept, and logged by the next call", error)


def _finish(run: SweepRun, found: Standings, table: Path) -> None:
    try:
        run.finish(found.best.metrics, table, "FINISHED", {"compare.best": found.best.candidate.name})
    except TrackingError as error:
        log.warning("%s. Run the same command again once the server is back", error)


def _close(run: SweepRun, status: str) -> None:
    try:
        run.close(status)
    except TrackingError as error:
        log.warning("%s", error)


def _child(number: int, each: Judged) -> TrialRun:
    cost = {name: float(getattr(each, name)) for name in ("epochs", "seconds", "parameters", "trainable")}
    return TrialRun(
        number=number,
        parameters=each.candidate.values,
        metrics=each.metrics | cost,
        tags={"compare.candidate": each.candidate.name},
        status="FINISHED",
        started=each.started,
        ended=each.ended,
    )
