"""`python main.py sweep` from its files to its report."""

import math
from collections.abc import Mapping

from cnnClassifier.config.loading import PARAMS_FILE, read_yaml
from cnnClassifier.config.types import Paths, Settings
from cnnClassifier.sweep.judging import open_bench
from cnnClassifier.sweep.naming import study_name
from cnnClassifier.sweep.plan import load_plan, plan_file
from cnnClassifier.sweep.report import next_command, terminal_report, write_table
from cnnClassifier.sweep.results import finished
from cnnClassifier.sweep.search import Search
from cnnClassifier.sweep.space import Space
from cnnClassifier.sweep.study import GRACE_SECONDS, importances, open_study, sqlite_url
from cnnClassifier.terminal import console
from cnnClassifier.tracking.connection import Connection
from cnnClassifier.tracking.sweeps import open_sweep_run

FOLDER, TABLE = "sweeps", "trials.csv"


def sweep(
    name: str,
    settings: Settings,
    paths: Paths,
    connection: Connection,
    *,
    trials: int | None = None,
    minutes: float | None = None,
    storage: str | None = None,
) -> None:
    """Run the sweep until it has its trials, then, or when interrupted, tell what it found."""
    params = read_yaml(PARAMS_FILE)  # now: a sweep takes hours, and at its end the file may be open in an editor
    search = open_search(name, settings, paths, connection, storage=storage)
    wanted = trials or search.plan.trials
    try:
        search.go_on(wanted, math.inf if minutes is None else 60 * minutes)
    finally:
        _conclude(search, wanted, params)


def open_search(
    name: str,
    settings: Settings,
    paths: Paths,
    connection: Connection,
    *,
    storage: str | None = None,
    grace: int = GRACE_SECONDS,
) -> Search:
    """Everything a sweep needs, checked before the first trial."""
    file = plan_file(name)
    plan = load_plan(file)
    space = Space(settings, plan, file)
    space.check()
    bench = open_bench(settings, paths)
    study = study_name(name, plan, settings, bench.records)
    folder = paths.cache / FOLDER / study
    kept = open_study(study, plan, storage or sqlite_url(folder), grace)
    run = open_sweep_run(connection, settings, name, study, plan.model_dump(mode="json"))
    return Search(space, bench, kept, run, folder)


def _conclude(search: Search, wanted: int, params: Mapping[str, object]) -> None:
    """Write the CSV, print the report, and close the sweep's run unless another process is at work."""
    told, table = search.results(), search.folder / TABLE
    write_table(told, search.plan.parameters, table)
    shares = importances(search.study, search.plan)
    printed = console()
    printed.print(terminal_report(told, search.plan, shares, table))
    if line := next_command(told, search.plan, params):
        printed.print(f"To run the best:\n{line}", soft_wrap=True, markup=False, highlight=False)  # whole, to be copied
    search.close(table, "FINISHED" if len(finished(told)) >= wanted else "KILLED")
