"""evaluation: what the model says of images it did not learn from, what that is worth, and how it will answer."""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnClassifier.audit.facts import load_facts
from cnnClassifier.audit.pairs import read_pairs
from cnnClassifier.components.base import Component
from cnnClassifier.config.types import EvaluationConfig
from cnnClassifier.datasets.manifest import ImageRecord, digest_records, read_dealt, read_manifest
from cnnClassifier.decision import ConformalRule, DecisionSpec, OperatingPoint, OutlierRule, calibrate
from cnnClassifier.errors import DataError
from cnnClassifier.features.extraction import FeatureExtractor
from cnnClassifier.features.network import open_features, predict_tail
from cnnClassifier.features.vectors import pooled_features, pooled_features_of_files
from cnnClassifier.files import new_folder, write_json, write_text
from cnnClassifier.fitting import make_deterministic
from cnnClassifier.judgement import judge, truth_of, without_copies
from cnnClassifier.metrics.answers import answers_report
from cnnClassifier.metrics.calibration import calibration_report
from cnnClassifier.metrics.conformal import conformal_report
from cnnClassifier.metrics.controls import verdicts
from cnnClassifier.metrics.decision_plots import plot_decisions, plot_outliers
from cnnClassifier.metrics.evaluation_plots import plot_evaluation
from cnnClassifier.metrics.operating import operating_report
from cnnClassifier.metrics.outliers import outlier_report
from cnnClassifier.metrics.prediction_plots import plot_distribution, plot_report
from cnnClassifier.metrics.predictions import Predictions, folds_of, read_predictions, write_predictions
from cnnClassifier.metrics.protocols import Judged, Reporting, report_controls, report_protocol
from cnnClassifier.model_spec import ModelSpec
from cnnClassifier.modeling import Cut, cut, forward, load_model
from cnnClassifier.monitoring.measuring import measure_files
from cnnClassifier.monitoring.reference import TrainingReference, build_reference, save_training_reference
from cnnClassifier.outliers import OutlierDetector, distances, fit_outliers, save_reference
from cnnClassifier.probes import probes

log = logging.getLogger(__name__)

PROBES = 20  # images of each other kind that the detector is tried on
DETECTOR_IMAGES = 4096  # training images are enough to fit the detector; keeps memory flat


class Evaluation(Component[EvaluationConfig]):
    """Model, manifests, out-of-fold predictions -> predictions.csv, metrics.json, what goes into the model, plots.

    Protocols: `grouped_cv`, train+valid by models that saw no other image of that group, the number to believe;
    `published`, the test split, as given or as the audit drew it; `without_exact_copies` and `deduplicated`, less the
    test images whose picture also is in train or valid: pixel for pixel, or re-cropped, re-windowed or drawn on, too.
    """

    def run(self) -> None:
        """Predict the test split once, report by every protocol, fit the rules for answers."""
        make_deterministic(self.config.seed)
        model, spec = load_model(self.paths.model)
        out_of_fold = read_predictions(self.paths.out_of_fold, "training")
        test, trained = self._records(out_of_fold)
        parts = cut(model, spec.freeze)
        features = open_features(parts, spec, self.paths)
        how = self._reporting(spec)

        probabilities = predict_tail(forward(parts.tail), features, test)
        metrics = self._protocols(features, trained, out_of_fold, test, probabilities, how)
        metrics |= self._rules(out_of_fold, how)
        sample = slice(None, None, math.ceil(len(trained) / DETECTOR_IMAGES))
        pooled = pooled_features(parts, features, trained[sample])
        detector = self._fit_detector(pooled, trained[sample])
        metrics["gate_of_kind"] = self._try_detector(detector, parts, features, test)
        decision = self._decision(metrics, detector)
        metrics["answers"] = answers_report(out_of_fold, decision)
        metrics["data"] = {"test_sha256": digest_records(test), "synthetic": spec.synthetic}

        write_predictions(test, probabilities, spec.classes, self.paths.predictions)
        save_reference(detector.reference, self.paths.outliers)
        calibrated = calibrate(out_of_fold.probabilities[sample], decision.temperature)
        save_training_reference(self._reference(trained[sample], pooled, calibrated, detector), self.paths.reference)
        write_text(decision.model_dump_json(indent=2) + "\n", self.paths.decision)
        self._plot(metrics, test, probabilities, out_of_fold)
        write_json(metrics, self.paths.metrics)

    def _records(self, out_of_fold: Predictions) -> tuple[list[ImageRecord], list[ImageRecord]]:
        """The test split, and the images with out-of-fold predictions in their table's order; groups as audited."""
        records = {record.path: record for record in read_manifest(self.paths.audited_manifest)}
        if missing := next((path for path in out_of_fold.paths if path not in records), None):
            raise DataError(
                f"{self.paths.out_of_fold}: {missing} is not in {self.paths.audited_manifest}; "
                "run `python main.py training` again"
            )
        test = [record for record in records.values() if record.split == "test"]
        return test, [records[path] for path in out_of_fold.paths]

    def _reporting(self, spec: ModelSpec) -> Reporting:
        positive = self.config.operating.indices(spec.classes) if self.config.operating else ()
        return Reporting(spec.classes, positive, self.config.resamples, self.config.confidence, self.config.seed)

    def _protocols(
        self,
        features: FeatureExtractor,
        trained: Sequence[ImageRecord],
        out_of_fold: Predictions,
        test: Sequence[ImageRecord],
        probabilities: np.ndarray,
        how: Reporting,
    ) -> dict[str, Any]:
        """Every protocol's metrics, those of the controls, and in words where a control comes near the model."""
        facts = load_facts(self.paths.facts)
        by_groups, published = judge(features, facts, trained, out_of_fold, test, probabilities, self.config.seed)
        records = read_dealt(self.paths.manifest, self.paths.audited_manifest)
        pairs = read_pairs(self.paths.pairs)
        judged: dict[str, Judged] = {
            "grouped_cv": by_groups,
            "published": published,
            **without_copies(published, test, records, pairs),
        }
        metrics: dict[str, Any] = {name: report_protocol(images, how) for name, images in judged.items()}
        metrics["controls"] = {name: report_controls(images, how) for name, images in judged.items()}
        metrics["controls"]["verdicts"] = verdicts(metrics)
        for name in judged:
            value = metrics[name]["balanced_accuracy"]["value"]
            log.info("%s: balanced accuracy %.3f on %d images", name, value, metrics[name]["images"])
        return metrics

    def _rules(self, out_of_fold: Predictions, how: Reporting) -> dict[str, Any]:
        """Calibration, conformal sets and operating threshold, each fitted and judged on out-of-fold predictions."""
        judged = (out_of_fold.truth, out_of_fold.probabilities, folds_of(out_of_fold))
        kinds = (out_of_fold.groups, how.classes)
        draws: dict[str, Any] = {"resamples": how.resamples, "confidence": how.confidence, "seed": how.seed}
        found = {
            "calibration": calibration_report(*judged, out_of_fold.groups, seed=how.seed),
            "conformal": conformal_report(*judged, *kinds, self.config.coverage, **draws),
        }
        if self.config.operating:
            target = self.config.operating.sensitivity
            found["operating"] = operating_report(*judged, *kinds, how.positive, target, **draws)
        return found

    def _fit_detector(self, pooled: np.ndarray, sample: Sequence[ImageRecord]) -> OutlierDetector:
        groups = [record.group for record in sample]
        return fit_outliers(pooled, groups, self.config.refused, self.config.seed)

    def _reference(
        self, sample: Sequence[ImageRecord], pooled: np.ndarray, calibrated: np.ndarray, detector: OutlierDetector
    ) -> TrainingReference:
        """What the images in use will be compared with: the training images, each held out with its group."""
        properties = measure_files([self.paths.images / record.path for record in sample])
        groups = [record.group for record in sample]
        return build_reference(pooled, groups, calibrated, detector.held_out, properties, self.config.seed)

    def _try_detector(
        self, detector: OutlierDetector, parts: Cut, features: FeatureExtractor, test: Sequence[ImageRecord]
    ) -> dict[str, Any]:
        """How well the detector tells other kinds of image apart, and what share of the test split it refuses."""
        others = {
            kind: distances(detector.reference, pooled_features_of_files(parts, features, files))
            for kind, files in probes(PROBES, self.config.seed).items()
        }
        of_test = distances(detector.reference, pooled_features(parts, features, test))
        refused = round(float((of_test > detector.threshold).mean()), 6)
        return {**outlier_report(detector.held_out, others, detector.threshold), "test_refused": refused}

    def _decision(self, metrics: Mapping[str, Any], detector: OutlierDetector) -> DecisionSpec:
        point = metrics.get("operating")
        return DecisionSpec(
            temperature=metrics["calibration"]["temperature"],
            outliers=OutlierRule(threshold=detector.threshold),
            operating=point and OperatingPoint(positive=tuple(point["positive"]), threshold=point["threshold"]),
            conformal=ConformalRule(coverage=self.config.coverage, quantile=metrics["conformal"]["quantile"]),
            abstain=self.config.abstain,
        )

    def _plot(
        self, metrics: Mapping[str, Any], test: Sequence[ImageRecord], probabilities: np.ndarray, held_out: Predictions
    ) -> None:
        classes, by_groups = held_out.classes, "grouped cross-validation"
        judged = {
            "published": (truth_of(test, classes), probabilities, classes, "test split"),
            "grouped_cv": (held_out.truth, held_out.probabilities, classes, by_groups),
        }
        with new_folder(self.paths.evaluation_plots) as folder:
            (folder / "grouped_cv").mkdir()
            for protocol, at in (("published", folder), ("grouped_cv", folder / "grouped_cv")):
                plot_evaluation(*judged[protocol], at)
                plot_distribution(*judged[protocol], at / "prediction_distribution")
                plot_report(metrics[protocol], judged[protocol][-1], at / "classification_report")
            plot_decisions(
                *judged["grouped_cv"][:2], folds_of(held_out), classes, metrics, by_groups, folder / "grouped_cv"
            )
            plot_outliers(metrics["gate_of_kind"], folder)
