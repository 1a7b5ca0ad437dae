"""evaluation: what the model says of the test split, with intervals, and what that is worth."""

import csv
import io
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnClassifier.components.base import Component
from cnnClassifier.config.types import EvaluationConfig
from cnnClassifier.datasets.audit import is_copy_of_training
from cnnClassifier.datasets.manifest import ImageRecord, digest_records, read_manifest
from cnnClassifier.features.network import predict
from cnnClassifier.files import new_folder, write_json, write_text
from cnnClassifier.fitting import make_deterministic
from cnnClassifier.metrics.plots import plot_evaluation
from cnnClassifier.metrics.report import report
from cnnClassifier.modeling import load_model

log = logging.getLogger(__name__)


class Evaluation(Component[EvaluationConfig]):
    """Model and manifest -> predictions.csv, metrics.json, plots.

    Protocols: `published`, the test split as given; `without_exact_copies`, less the images whose
    pixels also occur in train or valid as published (left out if none remains).
    """

    def run(self) -> None:
        """Predict the test split once and report on it by every protocol."""
        make_deterministic(self.config.seed)
        model, spec = load_model(self.paths.model)
        records = read_manifest(self.paths.manifest)
        test = [record for record in records if record.split == "test"]
        probabilities = predict(model, spec, test, self.paths)
        copies = is_copy_of_training(records)
        protocols = {
            "published": list(range(len(test))),
            "without_exact_copies": [row for row, record in enumerate(test) if record.id not in copies],
        }
        metrics = {
            name: self._report([test[row] for row in rows], probabilities[rows], spec.classes)
            for name, rows in protocols.items()
            if rows
        }
        data = {"test_sha256": digest_records(test), "synthetic": spec.synthetic}
        write_json({**metrics, "data": data}, self.paths.metrics)
        write_text(predictions_table(test, probabilities, spec.classes), self.paths.predictions)
        with new_folder(self.paths.evaluation_plots) as folder:
            plot_evaluation(_truth(test, spec.classes), probabilities, spec.classes, "published test split", folder)
        for name, values in metrics.items():
            log.info("%s: accuracy %.3f on %d images", name, values["accuracy"]["value"], values["images"])

    def _report(
        self, records: Sequence[ImageRecord], probabilities: np.ndarray, classes: tuple[str, ...]
    ) -> dict[str, Any]:
        groups = np.array([record.group for record in records])
        return report(
            _truth(records, classes),
            probabilities,
            groups,
            classes,
            resamples=self.config.resamples,
            confidence=self.config.confidence,
            seed=self.config.seed,
        )


def predictions_table(records: Sequence[ImageRecord], probabilities: np.ndarray, classes: tuple[str, ...]) -> str:
    """CSV: id, path, group, label, predicted, then a probability for each class."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "path", "group", "label", "predicted", *classes])
    for record, row in zip(records, probabilities, strict=True):
        predicted = classes[int(row.argmax())]
        writer.writerow(
            [
                record.id,
                record.path,
                record.group,
                record.label,
                predicted,
                *(f"{value:.6f}" for value in row),
            ]
        )
    return text.getvalue()


def _truth(records: Sequence[ImageRecord], classes: tuple[str, ...]) -> np.ndarray:
    return np.array([classes.index(record.label) for record in records])
