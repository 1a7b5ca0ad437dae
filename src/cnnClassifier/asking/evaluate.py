"""`python main.py evaluate`: a served model judged on labelled images, as its users would hear it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from cnnClassifier.asking.answers import Answer, ask
from cnnClassifier.asking.formats import as_csv
from cnnClassifier.asking.labelled import Labelled, experiment_of, list_labelled
from cnnClassifier.asking.models import choose_model
from cnnClassifier.asking.report import rows_of, write_report
from cnnClassifier.asking.training_images import training_images
from cnnClassifier.batching import followed
from cnnClassifier.config.types import ProjectConfig
from cnnClassifier.destinations import Earlier, check_new_folder
from cnnClassifier.errors import DataError
from cnnClassifier.files import in_utf8, new_folder, write_json, write_text
from cnnClassifier.inference import Classifier, Prediction
from cnnClassifier.metrics.evaluation_plots import plot_evaluation
from cnnClassifier.metrics.prediction_plots import plot_distribution, plot_report
from cnnClassifier.metrics.report import report
from cnnClassifier.shipped import load_project_anywhere
from cnnClassifier.terminal import console

MILLION = 1_000_000
CONFIDENCE = 0.95
SEED = 0  # of the bootstrap: the same images give the same intervals
REPORT, METRICS, ANSWERS, PLOTS = "report.html", "metrics.json", "answers.csv", "plots"
EARLIER = Earlier("an earlier evaluation", always=(REPORT, METRICS, ANSWERS, PLOTS))

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Judged:
    """Labelled images (n) that a model answered for: `predictions` and calibrated `probabilities` (n, classes)."""

    images: list[Labelled]
    answers: list[Answer]
    predictions: list[Prediction]
    truth: np.ndarray
    probabilities: np.ndarray
    failed: list[Answer]


def evaluate_folder(data: Path, name: str | None, package: Path | None, out: Path, resamples: int) -> dict[str, Any]:
    """Write report.html, metrics.json, answers.csv and plots into `out`, and print the main numbers; the metrics.

    Raises DataError for folders of no class and where no image can be read, ConfigError for an `out` that lies in
    `data` or where something else than an earlier evaluation would be lost.
    """
    check_new_folder(out, EARLIER, read=data)
    project = load_project_anywhere()
    classifier = choose_model(project, name, package)
    experiment = experiment_of(classifier.name, classifier.spec.classes)
    judged = judge(classifier, list_labelled(data, classifier.spec.classes, experiment), project)
    metrics = measure(judged, classifier, training_images(classifier, project), resamples)
    with new_folder(out) as folder:
        _write(metrics, judged, classifier, data, folder)
    console().print(_summary(metrics, classifier, data))
    log.info("written to %s", out / REPORT)
    return metrics


def judge(classifier: Classifier, images: Sequence[Labelled], project: ProjectConfig) -> Judged:
    """Ask the model about each image; DataError if none can be read."""
    most_pixels = project.serving.max_megapixels * MILLION
    answers = [_answer(classifier, image, most_pixels) for image in followed(images, "evaluate")]
    asked = [(i, a, a.prediction) for i, a in zip(images, answers, strict=True) if a.prediction is not None]
    failed = [answer for answer in answers if answer.prediction is None]
    if not asked:
        raise DataError(f"none of {len(failed)} files can be read; the first: {failed[0].file}: {failed[0].error}")
    classes = classifier.spec.classes
    return Judged(
        images=[image for image, _, _ in asked],
        answers=[answer for _, answer, _ in asked],
        predictions=[prediction for _, _, prediction in asked],
        truth=np.array([classes.index(image.label) for image, _, _ in asked]),
        probabilities=np.array([[found.probabilities[c] for c in classes] for _, _, found in asked]),
        failed=failed,
    )


def measure(
    judged: Judged, classifier: Classifier, trained_on: frozenset[str] | None, resamples: int
) -> dict[str, Any]:
    """The metrics of report.py, and what they are metrics of; `trained_on` are SHA-256 of training images, if known."""
    point, classes = classifier.spec.decision.operating, classifier.spec.classes
    groups = np.array([image.group for image in judged.images])
    positive = [classes.index(label) for label in point.positive] if point else []
    draws: dict[str, Any] = {"resamples": resamples, "confidence": CONFIDENCE, "seed": SEED}
    copies = None if trained_on is None else sum(answer.sha256 in trained_on for answer in judged.answers)
    return {
        "model": classifier.name,
        "version": classifier.version,
        "synthetic": classifier.spec.synthetic,
        "copies_of_training_images": copies,
        "unreadable": [{"file": answer.file, "error": answer.error} for answer in judged.failed],
        **report(judged.truth, judged.probabilities, groups, classes, **draws, positive=positive),
        "answers": _answers(judged),
    }


def _answers(judged: Judged) -> dict[str, Any]:
    """What users would be told: how many images are answered, and how many of these answers are right."""
    states = [prediction.state for prediction in judged.predictions]
    right = [
        prediction.label == image.label
        for prediction, image in zip(judged.predictions, judged.images, strict=True)
        if prediction.state == "answer"
    ]
    return {
        "answered": states.count("answer"),
        "abstained": states.count("abstained"),
        "refused": states.count("refused"),
        "accuracy_of_answers": round(sum(right) / len(right), 6) if right else None,
    }


def _write(metrics: dict[str, Any], judged: Judged, classifier: Classifier, data: Path, folder: Path) -> None:
    classes, title = classifier.spec.classes, f"{classifier.name} on {data.resolve().name}"
    plots = folder / PLOTS
    plots.mkdir()
    plot_report(metrics, title, plots / "classification_report")
    plot_evaluation(judged.truth, judged.probabilities, classes, title, plots)
    plot_distribution(judged.truth, judged.probabilities, classes, title, plots / "prediction_distribution")
    answers = [*judged.answers, *judged.failed]
    labels = [*(image.label for image in judged.images), *("" for _ in judged.failed)]
    write_text(as_csv(answers, classifier, [("true_label", labels)]), folder / ANSWERS)
    write_json(metrics, folder / METRICS)
    mistakes = [
        (image, prediction)
        for image, prediction in zip(judged.images, judged.predictions, strict=True)
        if prediction.state == "answer" and prediction.label != image.label
    ]
    write_report(metrics, mistakes, title, plots, folder / REPORT)


def _summary(metrics: dict[str, Any], classifier: Classifier, data: Path) -> Table:
    table = Table(title=f"{classifier.name} version {classifier.version} on {data}", title_justify="left")
    table.add_column("")
    table.add_column(f"value ({CONFIDENCE:.0%} interval)", justify="right")
    for label, value in rows_of(metrics):
        table.add_row(label, value)
    table.add_row("images", str(metrics["images"]))
    if metrics["copies_of_training_images"]:
        table.add_row("of them in training, too", str(metrics["copies_of_training_images"]))
    if metrics["unreadable"]:
        table.add_row("files that cannot be read", str(len(metrics["unreadable"])))
    return table


def _answer(classifier: Classifier, image: Labelled, most_pixels: int) -> Answer:
    """An archive would be several answers for one label: an image is one file here."""
    if image.fault:
        return Answer(in_utf8(str(image.file)), error=image.fault)
    answers = list(ask(classifier, [image.file], most_pixels))
    if len(answers) == 1:
        return answers[0]
    return Answer(str(image.file), error="an archive; unpack it into the class folders")
