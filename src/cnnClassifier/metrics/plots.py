"""What plots for people share, and the history's. No pyplot: no global state, no display."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

INK = "#1f2933"
COLOURS = ("#2563eb", "#d97706", "#059669", "#c026d3", "#dc2626", "#0891b2", "#65a30d", "#7c3aed")


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
