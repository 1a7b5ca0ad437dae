"""What a sweep found: a table, what the best of many is worth, how to run it, and all trials as CSV."""

import csv
import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cnnClassifier.files import new_file
from cnnClassifier.metrics.classification import OVERALL
from cnnClassifier.sweep.judging import PROTOCOL
from cnnClassifier.sweep.plan import SweepPlan
from cnnClassifier.sweep.results import Result, base_of, finished, ranked
from cnnClassifier.sweep.search import values_line
from cnnClassifier.sweep.space import command, leaves, text_of
from cnnClassifier.sweep.study import PRUNE_FROM

SHOWN = 20
COLUMNS = {
    "balanced_accuracy": "balanced\naccuracy",
    "accuracy": "accuracy",
    "macro_roc_auc": "macro\nAUROC",
    "loss": "loss",
}
LUCK = (
    "The best of many trials is partly luck: these folds chose it. The deviation is that of dealing the same images "
    "anew; what other patients would change is larger, and is the interval in the results table."
)


def terminal_report(
    trials: Sequence[Result],
    plan: SweepPlan,
    importances: Mapping[str, float],
    table: Path,
) -> Group:
    """The best twenty, and what the best is worth against the base parameters; `table` is the CSV of all trials."""
    metric, order = plan.metric, ranked(trials, plan)
    counts = {state: sum(trial.state == state for trial in trials) for state in ("complete", "pruned", "failed")}
    title = f"{metric}: " + ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    said = [f"All trials: {table}"]
    if order:
        said = [
            *_importance_lines(importances),
            *_verdict(order, base_of(trials), metric, len(finished(trials))),
            *said,
        ]
    return Group(_table(order[:SHOWN], title), *(Text(line) for line in said))


def next_command(trials: Sequence[Result], plan: SweepPlan, params: Mapping[str, object]) -> str:
    """What runs the pipeline with the best trial's values; empty if that changes nothing. `params` is params.yaml."""
    best = ranked(trials, plan)[:1]
    return command(best[0].values, params) if best and best[0].values else ""


def write_table(trials: Sequence[Result], names: Iterable[str], path: Path) -> None:
    """Every trial that was started, in the order of their numbers: means and deviations of all metrics, all values."""
    metrics = [f"{PROTOCOL}.{name}" for name in OVERALL]
    keys = list(dict.fromkeys([leaf for trial in trials for leaf, _ in leaves(trial.values)] or names))
    header = ["trial", "state", "base", *metrics, *(f"{name}.deviation" for name in metrics), "shufflings", "epochs"]
    own = path.with_name(f"{path.name}.{os.getpid()}")  # two processes may end at once
    with new_file(own) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*header, "seconds", *keys, "reason"])
        writer.writerows(_row(trial, metrics, keys) for trial in trials if trial.state != "waiting")
    own.replace(path)


def _table(order: Sequence[Result], title: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", padding=(0, 0, 0, 1))
    table.add_column("trial", justify="right")
    for label in COLUMNS.values():
        table.add_column(label, justify="right", overflow="fold")
    table.add_column("epochs", justify="right", overflow="fold")
    table.add_column("s", justify="right", overflow="fold")
    table.add_column("parameters", overflow="fold", ratio=1)
    for trial in order:
        cells = [_cell(trial, f"{PROTOCOL}.{name}") for name in COLUMNS]
        line = (str(trial.number), *cells, str(trial.epochs), f"{trial.seconds or 0:.0f}", escape(values_line(trial)))
        table.add_row(*line, style="bold" if trial.is_base else None)
    return table


def _cell(trial: Result, metric: str) -> str:
    deviation = trial.deviation(metric)
    spread = "" if deviation is None else f" ({deviation:.3f})".replace("(0.", "(.")
    return f"{trial.metrics[metric]:.3f}".removeprefix("0") + spread


def _verdict(order: Sequence[Result], base: Result | None, metric: str, tried: int) -> list[str]:
    """How far the best lies from the base parameters, and what of that is chance."""
    best = order[0]
    if base is None or best is base:
        return ["The parameters as they stand were not beaten." if base else "The base parameters are not tried yet."]
    better = abs(best.metrics[metric] - base.metrics[metric])
    line = f"Trial {best.number} is {better:.4f} better than the base parameters (trial {base.number}), best of {tried}"
    spreads = [trial.deviation(metric) for trial in (best, base)]
    if None not in spreads and (typical := statistics.fmean(spread or 0.0 for spread in spreads)):
        line += f": {better / typical:.1f} deviations over {len(best.deals)} shufflings of the folds"
    return [f"{line}.", LUCK]


def _importance_lines(importances: Mapping[str, float]) -> list[str]:
    if not importances:
        return [f"(Importance of parameters: from {PRUNE_FROM} complete trials on.)"]
    shares = ", ".join(f"{name.rpartition('.')[2]} {share:.2f}" for name, share in importances.items())
    return [f"Share of the variance that each parameter explains: {shares}"]


def _row(trial: Result, metrics: Sequence[str], keys: Sequence[str]) -> list[object]:
    means, values = trial.metrics, dict(leaves(trial.values))
    found = [f"{means[name]:.6f}" if name in means else "" for name in metrics]
    spread = [_rounded(trial.deviation(name)) if trial.deals else "" for name in metrics]
    told = [text_of(values[key]) if key in values else "" for key in keys]
    about = [len(trial.deals), trial.epochs or "", trial.seconds or ""]
    return [trial.number, trial.state, str(trial.is_base).lower(), *found, *spread, *about, *told, trial.reason]


def _rounded(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"
