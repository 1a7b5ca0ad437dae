"""Plots for people (PNG) and their data for `dvc plots` (CSV). No pyplot: no global state, no display."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve, roc_curve

from cnnClassifier.metrics.classification import Floats, Integers, confusion

INK = "#1f2933"
COLOURS = ("#2563eb", "#d97706", "#059669", "#c026d3", "#dc2626", "#0891b2", "#65a30d", "#7c3aed")
CALIBRATION_BINS = 10


def plot_evaluation(truth: Integers, probabilities: Floats, classes: Sequence[str], title: str, folder: Path) -> None:
    """Write confusion matrix, ROC, precision-recall and calibration, each as PNG and as CSV."""
    _plot_confusion(truth, probabilities, classes, title, folder / "confusion_matrix")
    curves = {"roc": _roc, "precision_recall": _precision_recall, "calibration": _calibration}
    for name, curve in curves.items():
        points = {
            label: curve(truth == index, probabilities[:, index])
            for index, label in enumerate(classes)
            if 0 < (truth == index).sum() < len(truth)
        }
        _plot_curves(name, points, title, folder / name)


def plot_history(history: Sequence[Mapping[str, float]], best: int, path: Path) -> None:
    """Write loss and accuracy by epoch, training against validation, the best epoch marked."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, name in ((left, "loss"), (right, "accuracy")):
        for prefix, label, colour in (("", "training", COLOURS[0]), ("val_", "validation", COLOURS[1])):
            if prefix + name in history[0]:
                values = [row[prefix + name] for row in history]
                axes.plot(range(1, len(values) + 1), values, label=label, color=colour)
        axes.axvline(best + 1, color=INK, linewidth=0.8, linestyle=":", label=f"best epoch, {best + 1}")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        label_axes(axes, "epoch", name)
        axes.legend(frameon=False)
    figure.savefig(path, dpi=130)


def _plot_confusion(truth: Integers, probabilities: Floats, classes: Sequence[str], title: str, path: Path) -> None:
    counts = confusion(truth, probabilities, np.ones((1, len(truth))))[0].astype(int)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = max(4.5, 1.15 * len(classes))
    figure = Figure(figsize=(size + 0.8, size), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        colour = "white" if share > 0.55 else INK
        axes.text(column, row, f"{counts[row, column]}\n{share:.0%}", ha="center", va="center", color=colour)
    names = [label.replace("_", "\n") for label in classes]
    axes.set_xticks(range(len(classes)), names, fontsize=8)
    axes.set_yticks(range(len(classes)), names, fontsize=8)
    label_axes(axes, "predicted", "true")
    axes.set_title(f"{title}, {len(truth)} images", fontsize=10, color=INK)
    figure.savefig(path.with_suffix(".png"), dpi=130)
    predicted = probabilities.argmax(axis=1)
    pairs = ((classes[t], classes[p]) for t, p in zip(truth, predicted, strict=True))
    write_csv(path.with_suffix(".csv"), ("actual", "predicted"), pairs)


def _plot_curves(name: str, points: Mapping[str, tuple[Floats, Floats]], title: str, path: Path) -> None:
    x_name, y_name = {
        "roc": ("false_positive_rate", "true_positive_rate"),
        "precision_recall": ("recall", "precision"),
        "calibration": ("predicted_probability", "observed_frequency"),
    }[name]
    figure = Figure(figsize=(5, 4.6), layout="constrained")
    axes = figure.subplots()
    marker = "o" if name == "calibration" else ""
    for (label, (x, y)), colour in zip(points.items(), COLOURS * 9, strict=False):
        axes.plot(x, y, marker=marker, markersize=4, label=label.replace("_", " "), color=colour)
    if name != "precision_recall":
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    label_axes(axes, x_name.replace("_", " "), y_name.replace("_", " "))
    heading = name.replace("_", " ")
    axes.set_title(f"{heading}, {title}", fontsize=10, color=INK)
    if points:
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(path.with_suffix(".png"), dpi=130)
    rows = ((label, f"{a:.6f}", f"{b:.6f}") for label, (x, y) in points.items() for a, b in zip(x, y, strict=True))
    write_csv(path.with_suffix(".csv"), ("class", x_name, y_name), rows)


def _roc(positive: np.ndarray, score: Floats) -> tuple[Floats, Floats]:
    false_positives, true_positives, _ = roc_curve(positive, score)
    return false_positives, true_positives


def _precision_recall(positive: np.ndarray, score: Floats) -> tuple[Floats, Floats]:
    precision, recall, _ = precision_recall_curve(positive, score)
    return recall, precision


def _calibration(positive: np.ndarray, score: Floats) -> tuple[Floats, Floats]:
    observed, predicted = calibration_curve(positive, score, n_bins=CALIBRATION_BINS)
    return predicted, observed


def label_axes(axes: Axes, x: str, y: str) -> None:
    """Name both axes, and leave out the two sides of the frame that nothing is read from."""
    axes.set_xlabel(x, color=INK)
    axes.set_ylabel(y, color=INK)
    axes.spines[["top", "right"]].set_visible(False)


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write the numbers behind a plot."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
