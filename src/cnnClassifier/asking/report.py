"""A model's judgement on somebody's images as one HTML file: numbers, plots and the most confident mistakes."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnClassifier import DISCLAIMER
from cnnClassifier.asking.labelled import Labelled
from cnnClassifier.audit.pictures import thumbnail
from cnnClassifier.files import write_text
from cnnClassifier.html_pages import templates_of
from cnnClassifier.inference import Prediction
from cnnClassifier.mean_precision import mean_precision

SHOWN = {
    "balanced_accuracy": "balanced accuracy (mean recall)",
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "macro_roc_auc": "macro ROC-AUC",
    "macro_pr_auc": "macro PR-AUC",
    "loss": "log loss",
}
PLOTS = {
    "classification_report": "Precision, recall and F1 of each class. An interval is what other images of the same "
    "kind may give.",
    "confusion_matrix": "What the images of each class are most probably called.",
    "roc": "For each class against all others: how many are found, at the price of how many false alarms.",
    "precision_recall": "For each class: how many of those called so are, as more of them are found.",
    "calibration": "Of images given a probability, how many are of that class. On the dotted line: as promised.",
    "prediction_distribution": "What probability each class is given, by its own images (up) and by all others (down).",
}
MISTAKES = 24


def write_report(
    metrics: Mapping[str, Any], mistakes: Sequence[tuple[Labelled, Prediction]], title: str, plots: Path, path: Path
) -> None:
    """Write the page; plots are taken from the folder `plots` into it, so that it can be sent as one file."""
    worst = sorted(mistakes, key=lambda mistake: -mistake[1].confidence)[:MISTAKES]
    shown = [(thumbnail(image.file), image, prediction) for image, prediction in worst]
    page = (
        templates_of("cnnClassifier.asking")
        .get_template("report.html")
        .render(
            title=title,
            metrics=metrics,
            headline=in_words(metrics["balanced_accuracy"]),
            rows=rows_of(metrics),
            warnings=warnings_on(metrics),
            plots=[(name.replace("_", " "), words, _address(plots / f"{name}.png")) for name, words in PLOTS.items()],
            mistakes=shown,
            mistaken=len(mistakes),
            disclaimer=DISCLAIMER,
        )
    )
    write_text(page, path)


def rows_of(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The overall metrics in words, by what they are called; mean precision stands after the mean recall."""
    first, *rest = [(label, in_words(metrics[name])) for name, label in SHOWN.items()]
    precision = {"value": mean_precision(metrics), "low": None, "high": None}
    return [first, ("mean precision", in_words(precision)), *rest]


def warnings_on(metrics: Mapping[str, Any]) -> list[str]:
    """What a reader must know before believing the numbers, a sentence each."""
    said, images, copies = [], metrics["images"], metrics["copies_of_training_images"]
    if metrics["synthetic"]:
        said.append("The model learned from drawn pictures: the numbers say nothing about patients.")
    if copies:
        said.append(f"{copies} of {images} images were in the model's training set, file for file: they flatter it.")
    if copies is None:
        said.append("Which images the model learned from is not known here: none of these should be among them.")
    if metrics["groups"] == 1:
        said.append("All images count as one patient's: how far the numbers would vary with others is not known.")
    elif metrics["groups"] == images:
        said.append("Each image counts as its own patient: with several of one patient the intervals are too narrow.")
    if absent := [label for label, each in metrics["per_class"].items() if not each["support"]]:
        said.append(f"There is no image of {', '.join(absent)}: averages over classes leave them out.")
    if metrics["unreadable"]:
        said.append(f"{len(metrics['unreadable'])} files could not be read; answers.csv says why.")
    if refused := metrics["answers"]["refused"]:
        said.append(f"The model refuses {refused} of {images} images as no pictures of its kind; they count here.")
    return said


def in_words(metric: Mapping[str, float | None]) -> str:
    """A metric with its interval, such as 0.921 (0.889 to 0.950), or alone where too few draws tell one."""
    if metric["value"] is None:
        return "unknown"
    if metric["low"] is None:
        return f"{metric['value']:.3f}"
    return f"{metric['value']:.3f} ({metric['low']:.3f} to {metric['high']:.3f})"


def _address(png: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(png.read_bytes()).decode('ascii')}"
