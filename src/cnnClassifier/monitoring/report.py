"""A check for drift as one HTML file that loads nothing: each comparison with both distribution functions drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnnClassifier import DISCLAIMER
from cnnClassifier.files import write_text
from cnnClassifier.html_pages import templates_of
from cnnClassifier.inference import Classifier
from cnnClassifier.monitoring.drift import DRAWS, LEVEL, Finding, Measure, Window, measures
from cnnClassifier.monitoring.reading import Checked
from cnnClassifier.monitoring.reference import TrainingReference

POINTS = 48  # of a drawn distribution function
WIDTH, HEIGHT = 240, 90  # of a drawing

MEANING: Mapping[str, str] = {
    "classes": "How often each class is the most probable one. Another mix of patients, or a model that errs more.",
    "confidence": "The calibrated probability of the most probable class.",
    "feature distance": "How far the network's features lie from all training images. Only farther counts.",
    "refused": "The share of images that the model refused as another kind.",
    "width": "Pixels of the file as it came.",
    "height": "Pixels of the file as it came.",
    "mean": "The mean grey level: brightness, or the level of the display window.",
    "contrast": "The standard deviation of grey levels: the width of the display window.",
    "black": "The share of black pixels.",
    "white": "The share of white pixels.",
    "sharpness": "How strong edges are: blur, another reconstruction kernel, an export at another size.",
    "noise": "Estimated noise: another scanner, dose, kernel or JPEG quality.",
}
AXIS = "Where the network's features lie along a direction in which training images differ most."


@dataclass(frozen=True)
class Row:
    """A finding for the page: its words, and either two curves or the shares of each class."""

    finding: Finding
    meaning: str
    typical: tuple[str, str]
    curves: tuple[str, str] | None
    shares: tuple[tuple[str, float, float], ...]


def write_report(
    checked: Checked,
    reference: TrainingReference,
    window: Window,
    classifier: Classifier,
    period: tuple[float, float],
    path: Path,
) -> None:
    """Write the page; `period` in seconds since 1970."""
    rule = classifier.spec.decision.outliers
    compared = measures(reference, window, rule.threshold if rule else None)
    rows = [_row(*pair, classifier.spec.classes) for pair in zip(checked.findings, compared, strict=True)]
    page = (
        templates_of("cnnClassifier.monitoring")
        .get_template("report.html")
        .render(
            checked=checked,
            rows=sorted(rows, key=lambda row: not row.finding.alarm),
            period=[datetime.fromtimestamp(moment, UTC) for moment in period],
            at=datetime.fromtimestamp(checked.time, UTC),
            reference=reference,
            groups=int(reference.groups.max()) + 1,
            synthetic=classifier.spec.synthetic,
            level=LEVEL,
            draws=DRAWS,
            width=WIDTH,
            height=HEIGHT,
            disclaimer=DISCLAIMER,
        )
    )
    write_text(page, path)


def _row(finding: Finding, measure: Measure, classes: Sequence[str]) -> Row:
    meaning = MEANING.get(finding.name, AXIS)
    reference, window = (values[np.isfinite(values)] for values in (measure.reference, measure.window))
    if finding.kind == "shares":
        shares = tuple(
            (name.replace("_", " "), float((reference == index).mean()), float((window == index).mean()))
            for index, name in enumerate(classes)
        )
        most = tuple(classes[int(np.bincount(values.astype(int)).argmax())] for values in (reference, window))
        return Row(finding, meaning, (most[0], most[1]), None, shares)
    if finding.kind == "more":
        return Row(finding, meaning, (f"{reference.mean():.1%}", f"{window.mean():.1%}"), None, ())
    typical = (_number(float(np.median(reference))), _number(float(np.median(window))))
    return Row(finding, meaning, typical, _curves(reference, window), ())


def _curves(reference: NDArray[np.floating], window: NDArray[np.floating]) -> tuple[str, str]:
    """Both distribution functions as points of SVG polylines, over one range."""
    low, high = (edge(np.concatenate([reference, window])) for edge in (np.min, np.max))
    at = np.linspace(low, high, POINTS) if high > low else np.linspace(low - 1, low + 1, POINTS)
    drawn = []
    for values in (reference, window):
        heights = np.searchsorted(np.sort(values), at, "right") / max(1, len(values))
        across = np.linspace(0, WIDTH, POINTS)
        drawn.append(" ".join(f"{x:.1f},{HEIGHT * (1 - y):.1f}" for x, y in zip(across, heights, strict=True)))
    return drawn[0], drawn[1]


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
