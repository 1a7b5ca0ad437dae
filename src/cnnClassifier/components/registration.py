"""registration: the trained model as a served package, checked, registered, and perhaps champion."""

import logging
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnClassifier.attribution import typical_maps
from cnnClassifier.audit.copies import copies_of_training
from cnnClassifier.audit.pairs import LEFT_OUT, read_pairs
from cnnClassifier.batching import batches
from cnnClassifier.components.base import Component
from cnnClassifier.config.network import PreprocessingSpec
from cnnClassifier.config.types import Paths, RegistrationConfig
from cnnClassifier.datasets.manifest import ImageRecord, read_dealt, read_manifest
from cnnClassifier.decision import DecisionSpec
from cnnClassifier.errors import ConfigError, DataError
from cnnClassifier.export import check_as_trained, check_equal, export_package, quantise_package
from cnnClassifier.features.engine import ranging_pixels, ranging_records
from cnnClassifier.features.network import open_features
from cnnClassifier.files import file_sha256, new_folder, read_json, scratch_folder, write_json
from cnnClassifier.finished_run import digests
from cnnClassifier.fit_state import read_history
from cnnClassifier.gate import Decision, Rival, compare_with_champion, decide_promotion, with_way_round
from cnnClassifier.metrics.classification import OVERALL
from cnnClassifier.metrics.predictions import Predictions, read_predictions
from cnnClassifier.model_card.card import PROTOCOLS, Registered, write_card
from cnnClassifier.model_spec import WEIGHTS_FILE, ModelSpec
from cnnClassifier.modeling import cut, load_model
from cnnClassifier.monitoring.reference import REFERENCE_FILE
from cnnClassifier.preprocessing import preprocess
from cnnClassifier.tracking import registry
from cnnClassifier.tracking.packaging import save_pyfunc
from cnnClassifier.tracking.run import PipelineRun
from cnnClassifier.tracking.values import digest_of

log = logging.getLogger(__name__)

MODEL_TAG, PASSED = "model.sha256", "passed"
AGAIN = "; registered again in place of version "
CHECKED_IMAGES = 24  # if there are as many: real images on which ONNX and Keras are compared
TYPICAL_IMAGES, BATCH = 64, 16  # training images whose mean map is taken off every map (docs/explain.md)


class Registration(Component[RegistrationConfig]):
    """Model, decision and metrics -> package (ONNX), a version in the registry, model card, registration.json."""

    def __init__(self, config: RegistrationConfig, paths: Paths, pipeline_run: PipelineRun) -> None:
        super().__init__(config, paths, pipeline_run)
        self.pipeline_run = pipeline_run

    def run(self) -> None:
        """Log what earlier stages could not, export and check, register as challenger, decide on champion."""
        metrics = read_json(self.paths.metrics)
        score = find_metric(metrics, self.config.metric)
        self.pipeline_run.complete(self.paths)
        commit, uncommitted_changes = self.pipeline_run.code()
        registered = Registered(_today(), self.pipeline_run.run_id, commit)
        spec, difference = self._export(registered)
        twin = self._twin()
        version = self._register(spec, score, metrics["data"]["test_sha256"])
        audit = read_json(self.paths.audit)
        decision = succeed(twin) if twin else decide_promotion(score, self._rival(), metrics, audit, self.config)
        self._carry_out(decision, version)
        with new_folder(self.paths.model_card) as folder:
            decided = replace(registered, version=version, champion=decision.promote, reason=decision.reason)
            self._write_card(folder, spec, decided)
        write_json(
            {
                "name": self.config.name,
                "version": version,
                "run_id": self.pipeline_run.run_id,
                "commit": commit,
                "uncommitted_changes": uncommitted_changes,
                "champion": decision.promote,
                "reason": decision.reason,
                "metric": self.config.metric,
                "score": score if math.isfinite(score) else None,
                "gate": decision.numbers,
                "onnx_difference": difference,
                "files": digests(self.paths),
            },
            self.paths.registration,
        )

    def _export(self, registered: Registered) -> tuple[ModelSpec, float]:
        model, spec = load_model(self.paths.model)
        decision = DecisionSpec.model_validate_json(self.paths.decision.read_bytes())
        spec = spec.model_copy(update={"description": self.config.description, "decision": decision})
        with new_folder(self.paths.package) as folder:
            typical = typical_maps(model, self._training_pixels(spec.preprocessing))
            export_package(model, spec, folder, self.paths.outliers, typical)
            shutil.copyfile(self.paths.reference, folder / REFERENCE_FILE)
            images = self._test_images()
            difference = check_equal(model, folder, images, self.config.tolerance, typical)
            if spec.precision == "int8":
                difference = self._quantise(model, spec, folder, images)
            self._write_card(folder, spec, registered)
        log.info(
            "what is served and what was trained differ by at most %.1g on %d real images", difference, len(images)
        )
        return spec, difference

    def _quantise(self, model: Any, spec: ModelSpec, package: Path, images: Sequence[Path]) -> float:
        """Make the package the network in eight bits that the head was trained on, and check that it is."""
        quantise_package(package, ranging_pixels(ranging_records(self.paths), self.paths, spec.preprocessing))
        parts = cut(model, spec.freeze)
        trunk = open_features(parts, spec, self.paths).forward
        return check_as_trained(parts, trunk, package, images, self.config.tolerance)

    def _test_images(self) -> Sequence[Path]:
        records = [record for record in read_manifest(self.paths.audited_manifest) if record.split == "test"]
        return self._some(records, CHECKED_IMAGES)

    def _training_pixels(self, spec: PreprocessingSpec) -> Iterator[NDArray[np.float32]]:
        records = [record for record in read_manifest(self.paths.audited_manifest) if record.split != "test"]
        for files in batches(self._some(records, TYPICAL_IMAGES), BATCH):
            yield np.stack([preprocess(file.read_bytes(), spec) for file in files])

    def _some(self, records: Sequence[ImageRecord], count: int) -> Sequence[Path]:
        """The files of so many records, if there are as many, at even distances."""
        rows = np.linspace(0, len(records) - 1, min(count, len(records))).round().astype(int)
        return [self.paths.images / records[row].path for row in rows]

    def _write_card(self, folder: Path, spec: ModelSpec, registered: Registered) -> None:
        audit, metrics = read_json(self.paths.audit), read_json(self.paths.metrics)
        matrix = "confusion_matrix.png"
        pictures = {
            "Confusion matrix, grouped cross-validation": self.paths.evaluation_plots / "grouped_cv" / matrix,
            "Confusion matrix, test split": self.paths.evaluation_plots / matrix,
            "Training: loss and accuracy by epoch": self.paths.training_plots / "history.png",
        }
        search = read_history(self.paths.history)
        write_card(folder, self.config, spec, audit, metrics, registered, pictures, search)

    def _register(self, spec: ModelSpec, score: float, test_data: str) -> int:
        destination = self.paths.work / "pyfunc"
        shutil.rmtree(destination, ignore_errors=True)
        destination.parent.mkdir(parents=True, exist_ok=True)
        save_pyfunc(self.paths.package, self.paths.model, destination, spec)
        tags = {
            self.config.metric: f"{score:.6f}",
            registry.TEST_DATA_TAG: test_data,
            MODEL_TAG: self._digest(),
            "synthetic": str(spec.synthetic).lower(),
        }
        version = registry.register(self.pipeline_run, destination, self.config.name, self.config.description, tags)
        shutil.rmtree(destination)
        return version

    def _twin(self) -> registry.RegisteredModel | None:
        """The champion, if the gate of an attempt at this same registration made it that, which was cut short then."""
        champion = registry.find(self.pipeline_run.connection, self.config.name, registry.CHAMPION)
        if champion is None or champion.run_id != self.pipeline_run.run_id or champion.tags.get("gate") != PASSED:
            return None
        return champion if champion.tags.get(MODEL_TAG) == self._digest() else None

    def _digest(self) -> str:
        """Of what is registered: the trained weights and the decision. An export differs from one to the next."""
        return digest_of([file_sha256(file) for file in (self.paths.model / WEIGHTS_FILE, self.paths.decision)])

    def _rival(self) -> Rival | None:
        """The champion, and how this model compares with it on the images that the metric is about."""
        champion = registry.find(self.pipeline_run.connection, self.config.name, registry.CHAMPION)
        if champion is None:
            return None
        table, artifact, left_out = self._predictions()
        with scratch_folder(self.paths.work / "champion") as folder:
            theirs = registry.fetch_file(self.pipeline_run.connection, champion.run_id, artifact, folder)
            if theirs is None:
                return Rival(champion.version, None, f"its run keeps no {artifact}")
            try:
                return compare_with_champion(champion.version, table, read_predictions(theirs), self.config, left_out)
            except DataError as error:
                return Rival(champion.version, None, str(error))

    def _predictions(self) -> tuple[Predictions, str, set[str]]:
        """This model's predictions that the metric rests on, their name in a run, and the ids that do not count."""
        protocol = self.config.metric.partition(".")[0]
        if protocol == "grouped_cv":
            table = read_predictions(self.paths.out_of_fold, "training")
            return table, f"training/{self.paths.out_of_fold.name}", set()
        records = read_dealt(self.paths.manifest, self.paths.audited_manifest)
        pairs = read_pairs(self.paths.pairs)
        left_out = copies_of_training(records, pairs, LEFT_OUT[protocol]) if protocol in LEFT_OUT else set()
        return read_predictions(self.paths.predictions), f"evaluation/{self.paths.predictions.name}", left_out

    def _carry_out(self, decision: Decision, version: int) -> None:
        """Record the decision with the version, and move the alias if it says so."""
        tags = {"gate": PASSED if decision.promote else "failed", "gate.reason": decision.reason}
        registry.record_decision(self.pipeline_run, self.config.name, version, tags, decision.numbers)
        if decision.promote:
            registry.set_alias(self.pipeline_run.connection, self.config.name, version, registry.CHAMPION)
        verdict = "is champion" if decision.promote else "stays challenger"
        reason = with_way_round(decision.reason, decision.promote, version)
        log.info("%s version %d %s: %s", self.config.name, version, verdict, reason)


def succeed(twin: registry.RegisteredModel) -> Decision:
    """A version takes the place of its twin, which the gate has let through."""
    told, _, _ = twin.tags.get("gate.reason", "").partition(AGAIN)
    return Decision(True, f"{told}{AGAIN}{twin.version}, the same model", {})


def find_metric(metrics: Mapping[str, Any], name: str) -> float:
    """The value of `<protocol>.<metric>` in metrics.json; ConfigError listing those that models are compared by."""
    known = {
        f"{protocol}.{metric}": metrics[protocol][metric]["value"]
        for protocol in PROTOCOLS
        if protocol in metrics
        for metric in OVERALL
    }
    if name not in known:
        raise ConfigError(f"registration.metric: expected one of {', '.join(known)}. Received: {name!r}")
    return math.nan if known[name] is None else float(known[name])


def _today() -> str:
    return datetime.now(UTC).date().isoformat()
