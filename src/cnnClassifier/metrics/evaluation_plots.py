"""Confusion matrix and curves for people (PNG), and their data for `dvc plots` (CSV)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve, roc_curve

from cnnClassifier.metrics.classification import Floats, Integers, confusion
from cnnClassifier.metrics.plots import COLOURS, INK, label_axes, write_csv

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
