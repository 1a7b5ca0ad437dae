"""registration: the trained model as a served package, checked, registered, and perhaps champion."""

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnnClassifier.components.base import Component
from cnnClassifier.config.types import Paths, RegistrationConfig
from cnnClassifier.datasets.manifest import read_manifest
from cnnClassifier.errors import ConfigError
from cnnClassifier.export import check_equal, export_package
from cnnClassifier.files import new_folder, read_json, write_json
from cnnClassifier.gate import Champion, Decision, decide
from cnnClassifier.model_spec import ModelSpec
from cnnClassifier.modeling import load_model
from cnnClassifier.tracking import registry
from cnnClassifier.tracking.packaging import save_pyfunc
from cnnClassifier.tracking.run import PipelineRun

log = logging.getLogger(__name__)

CHECKED_IMAGES = 24  # at least, if there are as many: real images on which ONNX and Keras are compared
TEST_DATA_TAG = "data.test_sha256"


class Registration(Component[RegistrationConfig]):
    """Model and metrics -> package (ONNX), a version in the registry, registration.json."""

    def __init__(self, config: RegistrationConfig, paths: Paths, pipeline_run: PipelineRun) -> None:
        super().__init__(config, paths, pipeline_run)
        self.pipeline_run = pipeline_run

    def run(self) -> None:
        """Log what earlier stages could not, export and check, register as challenger, decide on champion."""
        metrics = read_json(self.paths.metrics)
        score = find_metric(metrics, self.config.metric)
        self.pipeline_run.complete(self.paths)
        spec, difference = self._export()
        version = self._register(spec, score, metrics["data"]["test_sha256"])
        decision = self._decide(score, metrics["data"]["test_sha256"])
        if decision.promote:
            registry.set_alias(self.pipeline_run.connection, self.config.name, version, "champion")
        log.info("%s version %d %s: %s", self.config.name, version, _verdict(decision), decision.reason)
        write_json(
            {
                "name": self.config.name,
                "version": version,
                "run_id": self.pipeline_run.run_id,
                "champion": decision.promote,
                "reason": decision.reason,
                "metric": self.config.metric,
                "score": score,
                "onnx_difference": difference,
            },
            self.paths.registration,
        )

    def _export(self) -> tuple[ModelSpec, float]:
        model, spec = load_model(self.paths.model)
        spec = spec.model_copy(update={"description": self.config.description})
        with new_folder(self.paths.package) as folder:
            export_package(model, spec, folder)
            images = self._sample_images()
            difference = check_equal(model, folder, images, self.config.tolerance)
        log.info("ONNX and Keras differ by at most %.1g on %d real images", difference, len(images))
        return spec, difference

    def _sample_images(self) -> Sequence[Path]:
        test = [record for record in read_manifest(self.paths.manifest) if record.split == "test"]
        return [self.paths.images / record.path for record in test[:: max(1, len(test) // CHECKED_IMAGES)]]

    def _register(self, spec: ModelSpec, score: float, test_data: str) -> int:
        destination = self.paths.work / "pyfunc"
        shutil.rmtree(destination, ignore_errors=True)
        destination.parent.mkdir(parents=True, exist_ok=True)
        save_pyfunc(self.paths.package, self.paths.model, destination, spec)
        tags = {
            self.config.metric: f"{score:.6f}",
            TEST_DATA_TAG: test_data,
            "synthetic": str(spec.synthetic).lower(),
        }
        version = registry.register(self.pipeline_run, destination, self.config.name, self.config.description, tags)
        shutil.rmtree(destination)
        return version

    def _decide(self, score: float, test_data: str) -> Decision:
        found = registry.find(self.pipeline_run.connection, self.config.name, "champion")
        if found is None:
            return decide(score, None, self.config.margin, same_data=True)
        recorded = found.tags.get(self.config.metric)
        champion = Champion(found.version, float(recorded) if recorded else None)
        return decide(score, champion, self.config.margin, same_data=found.tags.get(TEST_DATA_TAG) == test_data)


def find_metric(metrics: dict[str, Any], name: str) -> float:
    """The value of `<protocol>.<metric>` in metrics.json; ConfigError listing what there is."""
    protocol, _, metric = name.partition(".")
    try:
        return float(metrics[protocol][metric]["value"])
    except (KeyError, TypeError):
        known = [
            f"{protocol}.{metric}"
            for protocol, values in metrics.items()
            for metric, value in values.items()
            if isinstance(value, dict) and "value" in value
        ]
        raise ConfigError(f"registration.metric: expected one of {', '.join(known)}. Received: {name!r}") from None


def _verdict(decision: Decision) -> str:
    return "is champion" if decision.promote else "stays challenger"
