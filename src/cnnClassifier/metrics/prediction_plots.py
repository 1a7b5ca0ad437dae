"""Two plots of single predictions: how probabilities are spread over images, and the classification report."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from cnnClassifier.metrics.classification import PER_CLASS, Floats, Integers
from cnnClassifier.metrics.plots import COLOURS, INK, label_axes, write_csv

OTHERS = "#9aa5b1"
BINS = 20
MOST_COLUMNS = 4
DOTS = 130


def plot_distribution(truth: Integers, probabilities: Floats, classes: Sequence[str], title: str, path: Path) -> None:
    """Write, as PNG and as CSV, how often each class is given what probability: its own images, and all others.

    The better a class is told apart, the further its two histograms lie from each other.
    """
    columns = min(len(classes), MOST_COLUMNS)
    rows = -(-len(classes) // columns)
    figure = Figure(figsize=(3.1 * columns + 0.4, 2.7 * rows + 0.5), layout="constrained")
    panels = np.ravel(figure.subplots(rows, columns, squeeze=False))
    edges = np.linspace(0, 1, BINS + 1)
    table = []
    for index, (axes, label) in enumerate(zip(panels, classes, strict=False)):
        own, others = (np.histogram(probabilities[among, index], edges)[0] for among in _own_and_others(truth, index))
        _plot_bars(axes, own, others, COLOURS[index % len(COLOURS)])
        axes.set_title(label.replace("_", " "), fontsize=10, color=INK)
        table += [(label, f"{low:g}", str(a), str(b)) for low, a, b in zip(edges, own, others, strict=False)]
    for axes in panels[len(classes) :]:
        axes.set_visible(False)
    figure.suptitle(f"Predicted probabilities, {title}", fontsize=10.5, color=INK)
    figure.savefig(path.with_suffix(".png"), dpi=DOTS)
    write_csv(path.with_suffix(".csv"), ("class", "probability_from", "own_images", "other_images"), table)


def plot_report(report: Mapping[str, Any], title: str, path: Path) -> None:
    """Write precision, recall and F1 of each class with their intervals, as PNG and as CSV; `report`: see there."""
    classes = list(report["per_class"])
    values = np.array([[_value(report, label, name) for name in PER_CLASS] for label in classes])
    figure = Figure(figsize=(7.6, 1.3 + 0.62 * len(classes)), layout="constrained")
    axes = figure.subplots()
    axes.imshow(np.nan_to_num(values), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        colour = "white" if value > 0.55 else INK
        text = _with_limits(report["per_class"][classes[row]][PER_CLASS[column]])
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=9)
    supports = [report["per_class"][label]["support"] for label in classes]
    names = [f"{label.replace('_', ' ')}\n{count} images" for label, count in zip(classes, supports, strict=True)]
    axes.set_yticks(range(len(classes)), names, fontsize=8)
    axes.set_xticks(range(len(PER_CLASS)), PER_CLASS, fontsize=9)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(f"Classification report, {title}", fontsize=10.5, color=INK)
    figure.savefig(path.with_suffix(".png"), dpi=DOTS)
    cells = ([label, str(count), *map(str, row)] for label, count, row in zip(classes, supports, values, strict=True))
    write_csv(path.with_suffix(".csv"), ("class", "support", *PER_CLASS), cells)


def _own_and_others(truth: Integers, index: int) -> tuple[np.ndarray, np.ndarray]:
    return truth == index, truth != index


def _plot_bars(axes: Axes, own: np.ndarray, others: np.ndarray, colour: str) -> None:
    """Own images upwards, others downwards: neither hides the other."""
    places, width = (np.arange(BINS) + 0.5) / BINS, 0.9 / BINS
    # Shares: there are mostly more others than own.
    up, down = own / max(own.sum(), 1), others / max(others.sum(), 1)
    axes.bar(places, up, width, color=colour, label=f"its own images, {own.sum()}")
    axes.bar(places, -down, width, color=OTHERS, label=f"others, {others.sum()}")
    axes.axhline(0, color=INK, linewidth=0.8)
    tallest = 1.08 * max(up.max(), down.max(), 0.05)
    axes.set(xlim=(0, 1), ylim=(-1.5 * tallest, tallest))  # below: room for the legend
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(lambda share, _: f"{abs(share):.0%}")
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.tick_params(labelsize=8)
    label_axes(axes, "probability given", "share of images")
    axes.legend(frameon=False, fontsize=7.5, loc="lower center", ncols=1)


def _value(report: Mapping[str, Any], label: str, name: str) -> float:
    value = report["per_class"][label][name]["value"]
    return np.nan if value is None else float(value)


def _with_limits(metric: Mapping[str, float | None]) -> str:
    if metric["value"] is None:
        return "unknown"
    limits = "" if metric["low"] is None else f"\n{metric['low']:.3f} to {metric['high']:.3f}"
    return f"{metric['value']:.3f}{limits}"
