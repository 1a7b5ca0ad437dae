"""The robustness table for people: a picture, and lines for the terminal."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

from cnnClassifier.corruptions import CORRUPTIONS, MILD
from cnnClassifier.metrics.plots import COLOURS, INK, label_axes

COLUMNS = 3  # panels beside each other
ALLOWED = 3.0  # points of accuracy that a mild corruption may cost
LINES = ("accuracy", "balanced_accuracy")

Row = Mapping[str, Any]


def robustness_table(rows: Sequence[Row]) -> Table:
    """A row a corruption: the change in accuracy, in points, at each strength; bold where a mild one costs too much."""
    clean = rows[0]
    title = f"accuracy {clean['accuracy']:.3f}, balanced {clean['balanced_accuracy']:.3f}; change in points of accuracy"
    table = Table(title=title, title_justify="left", title_style="bold", padding=(0, 0, 0, 1))
    table.add_column("strength")
    for strength in sorted({row["strength"] for row in rows[1:]}):
        table.add_column(str(strength), justify="right")
    for name in dict.fromkeys(row["corruption"] for row in rows[1:]):
        table.add_row(name, *(_change(row) for row in rows if row["corruption"] == name))
    return table


def plot_robustness(rows: Sequence[Row], title: str, path: Path) -> None:
    """A panel for each corruption: both accuracies by strength from the clean picture on, the mild strengths shaded."""
    names = [each.name for each in CORRUPTIONS if any(row["corruption"] == each.name for row in rows)]
    figure = Figure(figsize=(10, 1 + 2.5 * -(-len(names) // COLUMNS)), layout="constrained")
    panels = figure.subplots(-(-len(names) // COLUMNS), COLUMNS, sharey=True, squeeze=False)
    for axes, name in zip(panels.flat, names, strict=False):
        _plot_panel(axes, rows[0], [row for row in rows if row["corruption"] == name])
    for axes in panels.flat[len(names) :]:
        axes.set_visible(False)
    panels[0, 0].set_ylim(0, 1)
    panels[0, 0].legend(frameon=False, fontsize=8, loc="lower left")
    figure.suptitle(f"{title}; band: interval of the change in accuracy", fontsize=10, color=INK)
    figure.savefig(path, dpi=130)


def _change(row: Row) -> str:
    """A change with its interval, as -1.5 (-3.0 +0.5)."""
    value, low, high = (100 * row[f"accuracy_change{end}"] for end in ("", "_low", "_high"))
    text = f"{value:+.1f} ({low:+.1f} {high:+.1f})"
    return f"[bold]{text}[/bold]" if row["strength"] <= MILD and value < -ALLOWED else text


def _plot_panel(axes: Axes, clean: Row, rows: Sequence[Row]) -> None:
    strengths = [0, *(row["strength"] for row in rows)]
    axes.axvspan(0, MILD, color="#eef2f7", linewidth=0)
    for metric, colour in zip(LINES, COLOURS, strict=False):
        values = [clean[metric], *(row[metric] for row in rows)]
        axes.plot(strengths, values, marker="o", markersize=3, color=colour, label=metric.replace("_", " "))
    low, high = ([0, *(row[f"accuracy_change_{end}"] for row in rows)] for end in ("low", "high"))
    band = [np.add(limit, clean["accuracy"]) for limit in (low, high)]
    axes.fill_between(strengths, *band, color=COLOURS[0], alpha=0.15, linewidth=0)
    axes.axhline(clean["accuracy"], color=INK, linewidth=0.8, linestyle=":")
    axes.set_xticks(strengths, ["clean", *(f"{row['value']:g}" for row in rows)], fontsize=8)
    label_axes(axes, rows[0]["unit"], "")
    axes.set_title(rows[0]["corruption"].replace("_", " "), fontsize=9, color=INK)
    axes.xaxis.label.set_fontsize(8)
