"""evaluation: what the model says of images it did not learn from, what that is worth, and how it will answer."""

import logging
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
from cnnClassifier.metrics.decision_plots import plot_decisions, plot_gate
from cnnClassifier.metrics.evaluation_plots import plot_evaluation
from cnnClassifier.metrics.operating import operating_report
from cnnClassifier.metrics.outliers import gate_report
from cnnClassifier.metrics.prediction_plots import plot_distribution, plot_report
from cnnClassifier.metrics.predictions import Predictions, folds_of, read_predictions, write_predictions
from cnnClassifier.metrics.protocols import Judged, Reporting, report_controls, report_protocol
from cnnClassifier.model_spec import ModelSpec
from cnnClassifier.modeling import Cut, cut, forward, load_model
from cnnClassifier.monitoring.measuring import measure_files
from cnnClassifier.monitoring.reference import TrainingReference, build_reference, save_training_reference
from cnnClassifier.outliers import Gate, distances, fit_outliers, save_reference
from cnnClassifier.probes import probes

log = logging.getLogger(__name__)

PROBES = 20  # pictures of each other kind that the gate is tried on
GATE_IMAGES = 4096  # training images are enough to fit the gate; keeps memory flat


class Evaluation(Component[EvaluationConfig]):
    """Model, manifests, out-of-fold predictions -> predictions.csv, metrics.json, what goes into the model, plots.

    Protocols: `grouped_cv`, train+valid by models that saw nobody's other images, the number to believe; `published`,
    the test split as given; `without_exact_copies` and `deduplicated`, less the test images whose picture also is in
    train or valid as published: pixel for pixel, or re-cropped, re-windowed or drawn on, too.
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
        sample = slice(None, None, -(-len(trained) // GATE_IMAGES))
        pooled = pooled_features(parts, features, trained[sample])
        gate = self._fit_gate(pooled, trained[sample])
        metrics["gate_of_kind"] = self._try_gate(gate, parts, features, test)
        decision = self._decision(metrics, gate)
        metrics["answers"] = answers_report(out_of_fold, decision)
        metrics["data"] = {"test_sha256": digest_records(test), "synthetic": spec.synthetic}

        write_predictions(test, probabilities, spec.classes, self.paths.predictions)
        save_reference(gate.reference, self.paths.outliers)
        calibrated = calibrate(out_of_fold.probabilities[sample], decision.temperature)
        save_training_reference(self._reference(trained[sample], pooled, calibrated, gate), self.paths.reference)
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

    def _fit_gate(self, pooled: np.ndarray, sample: Sequence[ImageRecord]) -> Gate:
        groups = [record.group for record in sample]
        return fit_outliers(pooled, groups, self.config.refused, self.config.seed)

    def _reference(
        self, sample: Sequence[ImageRecord], pooled: np.ndarray, calibrated: np.ndarray, gate: Gate
    ) -> TrainingReference:
        """What the images in use will be compared with: the training images, each held out with its group."""
        properties = measure_files([self.paths.images / record.path for record in sample])
        groups = [record.group for record in sample]
        return build_reference(pooled, groups, calibrated, gate.held_out, properties, self.config.seed)

    def _try_gate(
        self, gate: Gate, parts: Cut, features: FeatureExtractor, test: Sequence[ImageRecord]
    ) -> dict[str, Any]:
        """How well the gate tells other kinds of picture from its own, and how many of the test split it refuses."""
        others = {
            kind: distances(gate.reference, pooled_features_of_files(parts, features, files))
            for kind, files in probes(PROBES, self.config.seed).items()
        }
        refused = float((distances(gate.reference, pooled_features(parts, features, test)) > gate.threshold).mean())
        return {**gate_report(gate.held_out, others, gate.threshold), "test_refused": round(refused, 6)}

    def _decision(self, metrics: Mapping[str, Any], gate: Gate) -> DecisionSpec:
        point = metrics.get("operating")
        return DecisionSpec(
            temperature=metrics["calibration"]["temperature"],
            outliers=OutlierRule(threshold=gate.threshold),
            operating=point and OperatingPoint(positive=tuple(point["positive"]), threshold=point["threshold"]),
            conformal=ConformalRule(coverage=self.config.coverage, quantile=metrics["conformal"]["quantile"]),
            abstain=self.config.abstain,
        )

    def _plot(
        self, metrics: Mapping[str, Any], test: Sequence[ImageRecord], probabilities: np.ndarray, held_out: Predictions
    ) -> None:
        classes, by_groups = held_out.classes, "grouped cross-validation"
        judged = {
            "published": (truth_of(test, classes), probabilities, classes, "published test split"),
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
            plot_gate(metrics["gate_of_kind"], folder)
