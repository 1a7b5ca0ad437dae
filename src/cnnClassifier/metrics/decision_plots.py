"""Plots of how probabilities become answers: calibration, threshold and conformal sets, as PNG and as CSV."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, PercentFormatter

from cnnClassifier.decision import calibrate
from cnnClassifier.metrics.calibration import cross_calibrate, reliability
from cnnClassifier.metrics.classification import Floats, Integers
from cnnClassifier.metrics.operating import positive_score, rates_by_threshold
from cnnClassifier.metrics.plots import COLOURS, INK, label_axes, write_csv

FAINT = "#9aa5b1"
DOTS = 130
ENDS = (0.001, 0.999)  # of the axis of thresholds
TICKS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)


def plot_decisions(
    truth: Integers,
    probabilities: Floats,
    folds: Integers,
    classes: Sequence[str],
    metrics: Mapping[str, Any],
    title: str,
    folder: Path,
) -> None:
    """Write reliability, operating and conformal, each as PNG and as CSV; operating only where there are positives.

    `probabilities` (n, classes) are the uncalibrated out-of-fold ones; `metrics` holds `calibration`, `conformal`
    and perhaps `operating` as in metrics.json.
    """
    after = cross_calibrate(truth, probabilities, folds)
    _plot_reliability(
        {"before": reliability(truth, probabilities), "after": reliability(truth, after)},
        metrics["calibration"],
        title,
        folder / "reliability",
    )
    _plot_conformal(metrics["conformal"], title, folder / "conformal")
    if operating := metrics.get("operating"):
        positive = [classes.index(name) for name in operating["positive"]]
        score = positive_score(calibrate(probabilities, metrics["calibration"]["temperature"]), positive)
        rates = rates_by_threshold(score, np.isin(truth, positive))
        _plot_operating(rates, operating, title, folder / "operating")


def _plot_reliability(bins: Mapping[str, Floats], found: Mapping[str, Any], title: str, path: Path) -> None:
    figure = Figure(figsize=(9.2, 4.9), layout="constrained")
    headings = {"before": "as trained", "after": f"at temperature {found['temperature']:.2f}"}
    for axes, (name, rows) in zip(figure.subplots(1, 2, sharex=True, sharey=True), bins.items(), strict=True):
        confidence, accuracy, _ = rows.T
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":", label="as often right as confident")
        axes.vlines(confidence, confidence, accuracy, color=COLOURS[1], linewidth=2.5, alpha=0.45, label="error")
        axes.plot(confidence, accuracy, "o-", color=COLOURS[0], markersize=5, linewidth=1.2, label="found")
        axes.set_title(f"{headings[name]}: error {found['ece'][name]:.1%}", fontsize=10, color=INK)
        _in_percent(axes)
        label_axes(axes, "mean confidence", "share of right answers")
    lowest = min(float(rows[:, :2].min()) for rows in bins.values())
    axes.set(xlim=(max(0, lowest - 0.06), 1.02), ylim=(max(0, lowest - 0.06), 1.02))
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    _finish(figure, f"Reliability, {title}: bins of equal numbers of images", path)
    table = ((name, *_digits(row[:2]), f"{row[2]:.0f}") for name, rows in bins.items() for row in rows)
    write_csv(path.with_suffix(".csv"), ("calibration", "confidence", "accuracy", "count"), table)


def _plot_operating(rates: Floats, found: Mapping[str, Any], title: str, path: Path) -> None:
    thresholds, *curves = rates.T
    figure = Figure(figsize=(6.6, 4.6), layout="constrained")
    axes = figure.subplots()
    chosen = found["threshold"]
    axes.axvline(chosen, color=INK, linewidth=0.8, linestyle=":")
    # A logit axis: most scores are near 0 or 1, and on a linear one both curves would be walls.
    axes.set_xscale("logit", nonpositive="clip")
    shown = (thresholds >= ENDS[0]) & (thresholds <= ENDS[1])
    for name, curve, colour in zip(("sensitivity", "specificity"), curves, COLOURS, strict=False):
        axes.step(thresholds[shown], curve[shown], where="post", color=colour, linewidth=1.8)
        _mark(axes, np.clip(chosen, *ENDS), found[name], colour, name)
    axes.set(xlim=ENDS, ylim=(None, 1.02))
    axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    label_axes(axes, "threshold on the probability of any positive class", "share of images called rightly")
    axes.legend(framealpha=1, edgecolor="white", fontsize=9, loc="lower center", title="chosen on the other folds")
    aim = f"threshold {chosen:.3g} for a sensitivity of {found['target_sensitivity']:.3g}"
    _finish(figure, f"Operating point, {title}: {aim}", path)
    # One row for each thousandth: more than that no plot shows.
    table = {round(row[0], 3): _digits(row) for row in rates}
    write_csv(path.with_suffix(".csv"), ("threshold", "sensitivity", "specificity"), table.values())


def _plot_conformal(found: Mapping[str, Any], title: str, path: Path) -> None:
    rows = found["curve"]
    nominal = [row["nominal"] for row in rows]
    figure = Figure(figsize=(9.2, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":", label="as promised")
    for name, label, colour in (("plain_coverage", "rule alone", FAINT), ("coverage", "as served", COLOURS[0])):
        values = [row[name]["value"] for row in rows]
        left.plot(nominal, values, "o-", color=colour, markersize=5, label=label)
    left.vlines(nominal, *_limits(rows, "coverage"), color=COLOURS[0], linewidth=2.5, alpha=0.35)
    bottom = min(nominal[0], min(row["plain_coverage"]["low"] for row in rows)) - 0.02
    left.set(xlim=(nominal[0] - 0.02, 1.01), ylim=(bottom, 1.01))
    _in_percent(left)
    left.legend(frameon=False, fontsize=8, loc="lower right")
    label_axes(left, "promised coverage", "sets that hold the true class")
    right.plot(nominal, [row["mean_size"] for row in rows], "o-", color=COLOURS[2], markersize=5)
    right.set(xlim=(nominal[0] - 0.02, 1.01), ylim=(0.95, None))
    right.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    label_axes(right, "promised coverage", "mean number of classes in a set")
    for axes in (left, right):
        axes.axvline(found["nominal"], color=INK, linewidth=0.6, linestyle="--", alpha=0.5)
    _finish(figure, f"Conformal sets, {title}", path)
    columns = ("nominal", "coverage", "low", "high", "plain_coverage", "mean_size", "singletons")
    write_csv(path.with_suffix(".csv"), columns, map(_conformal_cells, rows))


def plot_outliers(found: Mapping[str, Any], folder: Path) -> None:
    """Write gate, as PNG and as CSV: how many of its own images refuse what share of each other kind.

    `found` is `gate_of_kind` of metrics.json.
    """
    rows, path = found["curve"], folder / "gate"
    figure = Figure(figsize=(5.6, 4.6), layout="constrained")
    axes = figure.subplots()
    own = [row["own_refused"] for row in rows]
    for (kind, values), colour in zip(found["kinds"].items(), COLOURS, strict=False):
        label = f"{kind}, ROC area {values['auroc']:.3f}"
        axes.plot(own, [row["refused"][kind] for row in rows], "o-", color=colour, markersize=5, label=label)
    axes.axvline(found["own_refused"], color=INK, linewidth=0.6, linestyle="--", alpha=0.5, label="as served")
    axes.set(ylim=(-0.02, 1.02))
    _in_percent(axes)
    label_axes(axes, "own held-out images refused", "other pictures refused")
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    _finish(figure, "Outlier detector against other kinds of image", path)
    columns = ("threshold", "own_refused", *(f"{kind}_refused" for kind in found["kinds"]))
    cells = (_digits((row["threshold"], row["own_refused"], *row["refused"].values())) for row in rows)
    write_csv(path.with_suffix(".csv"), columns, cells)


def _conformal_cells(row: Mapping[str, Any]) -> list[str]:
    served = row["coverage"]
    numbers = (served["value"], served["low"], served["high"], row["plain_coverage"]["value"])
    return _digits((row["nominal"], *numbers, row["mean_size"], row["singletons"]))


def _mark(axes: Axes, x: float, interval: Mapping[str, float], colour: str, name: str) -> None:
    value, low, high = (interval[key] for key in ("value", "low", "high"))
    label = f"{name} {value:.1%} ({low:.1%} to {high:.1%})"
    axes.vlines(x, low, high, color=colour, linewidth=5, alpha=0.35)
    axes.plot(x, value, "o", color=colour, markersize=7, markeredgecolor="white", label=label)


def _limits(rows: Sequence[Mapping[str, Any]], name: str) -> tuple[list[float], list[float]]:
    return [row[name]["low"] for row in rows], [row[name]["high"] for row in rows]


def _in_percent(axes: Axes) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))


def _finish(figure: Figure, heading: str, path: Path) -> None:
    figure.suptitle(heading, fontsize=10.5, color=INK)
    figure.savefig(path.with_suffix(".png"), dpi=DOTS)


def _digits(values: Iterable[float]) -> list[str]:
    return [f"{value:.6f}" for value in values]
