"""What a comparison found: the table, the verdict in words, and the CSV."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cnnClassifier.files import new_file
from cnnClassifier.metrics.classification import OVERALL
from cnnClassifier.metrics.report import Interval
from cnnClassifier.selection.candidates import Judged
from cnnClassifier.selection.verdict import Draws, Rivalry, against_the_others, interval
from cnnClassifier.sweep.judging import PROTOCOL

MEASURE = "balanced_accuracy"
METRIC = f"{PROTOCOL}.{MEASURE}"
LIMITS = (
    "The interval and the p-values say what other patients would change; what another seed or other settings of the "
    "same candidate would change is not in them. The best of several is partly luck: the same images chose it."
)


@dataclass(frozen=True)
class Standings:
    """The candidates, best first; of equals the one named first. `rivalries` are the best's, in the same order."""

    ranked: list[Judged]
    intervals: list[Interval]
    rivalries: list[Rivalry]
    draws: Draws

    @property
    def best(self) -> Judged:
        """The candidate with the highest score."""
        return self.ranked[0]


def rank(judged: Sequence[Judged], draws: Draws) -> Standings:
    """Sort by grouped_cv.balanced_accuracy, and compare the best with each other.

    There are more draws than asked for where those could not tell any pair of so many apart.
    """
    draws = draws.enough_for(len(judged) * (len(judged) - 1) // 2)
    ranked = sorted(judged, key=lambda each: each.metrics[METRIC], reverse=True)
    table = ranked[0].out_of_fold
    probabilities = {each.candidate.name: each.out_of_fold.probabilities for each in ranked}
    intervals = [interval(table.truth, each, table.groups, MEASURE, draws) for each in probabilities.values()]
    best = ranked[0].candidate.name
    rivalries = against_the_others(best, probabilities, table.truth, table.groups, MEASURE, draws)
    return Standings(ranked, intervals, rivalries, draws)


def terminal_report(found: Standings, csv_file: Path) -> Group:
    """The table, the verdict in words, and where the CSV is."""
    lines = [*verdict(found), LIMITS, f"Table: {csv_file}"]
    return Group(_table(found), *(Text(line) for line in lines))


def verdict(found: Standings) -> list[str]:
    """A sentence on the best, and one for each of the others."""
    best, count = found.best.candidate.name, len(found.ranked)
    pairs = count * (count - 1) // 2
    alpha = 1 - found.draws.confidence
    said = [
        f"Best: {best}. Paired bootstrap over patients, {found.draws.resamples} draws; p two-sided, corrected for "
        f"{pairs} {'pair' if pairs == 1 else 'pairs'} (Holm)."
    ]
    for each in found.rivalries:
        tells = "better" if each.p < alpha else "no difference that these patients can show"
        said.append(
            f"{best} against {each.other}: {each.gain:+.3f} ({found.draws.confidence:.0%} from {each.low:+.3f} to "
            f"{each.high:+.3f}), p = {each.p:.3f}: {tells}."
        )
    return said


def write_table(found: Standings, path: Path) -> None:
    """All candidates, best first: every metric, the interval, cost, and the comparison with the best."""
    rivalry = {each.other: each for each in found.rivalries}
    metrics = [f"{PROTOCOL}.{name}" for name in OVERALL]
    compared = ["gain_of_best", "gain_low", "gain_high", "p"]
    cost = ["epochs", "seconds", "parameters", "trainable"]
    with new_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["candidate", *metrics, f"{METRIC}.low", f"{METRIC}.high", *cost, *compared])
        for each, limits in zip(found.ranked, found.intervals, strict=True):
            against = rivalry.get(each.candidate.name)
            numbers = [f"{each.metrics[name]:.6f}" for name in metrics]
            lost = [f"{getattr(against, name):.6f}" for name in ("gain", "low", "high", "p")] if against else [""] * 4
            writer.writerow(
                [each.candidate.name, *numbers, limits["low"], limits["high"], *(getattr(each, c) for c in cost), *lost]
            )


def _table(found: Standings) -> Table:
    table = Table(title=f"{METRIC}, the same folds for all", title_justify="left")
    table.add_column("candidate", overflow="fold")
    for heading in ("balanced\naccuracy", f"{found.draws.confidence:.0%}\ninterval", "macro\nAUROC", "loss", "epochs"):
        table.add_column(heading, justify="right", overflow="fold")
    for heading in ("seconds", "parameters", "of them\ntrained", "p against\nthe best"):
        table.add_column(heading, justify="right", overflow="fold")
    p_of = {each.other: f"{each.p:.3f}" for each in found.rivalries}
    for each, limits in zip(found.ranked, found.intervals, strict=True):
        table.add_row(
            escape(each.candidate.name),
            f"{each.metrics[METRIC]:.3f}",
            f"{limits['low']:.3f}-{limits['high']:.3f}",
            f"{each.metrics[f'{PROTOCOL}.macro_roc_auc']:.3f}",
            f"{each.metrics[f'{PROTOCOL}.loss']:.3f}",
            str(each.epochs),
            f"{each.seconds:.0f}",
            f"{each.parameters:,}",
            f"{each.trainable:,}",
            p_of.get(each.candidate.name, ""),
        )
    return table
