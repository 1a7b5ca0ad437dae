"""Members of an ensemble: packages that tell colours apart, registered with out-of-fold predictions."""

import json
from pathlib import Path
from typing import Any

import finished_project
import numpy as np
import onnx
from finished_project import CLASSES
from onnx import TensorProto, helper, numpy_helper

from cnnClassifier.config.types import Paths, Settings
from cnnClassifier.inference import Classifier
from cnnClassifier.metrics.predictions import Predictions, write_again
from cnnClassifier.model_spec import FEATURES, MAPS, ONNX_FILE, OUTLIERS_FILE, ModelSpec, write_spec
from cnnClassifier.outliers import Reference, save_reference
from cnnClassifier.tracking import registry
from cnnClassifier.tracking.connection import Connection
from cnnClassifier.tracking.packaging import save_pyfunc
from cnnClassifier.tracking.run import open_run
from cnnClassifier.tracking.stages import Artifact

TEMPERATURES = (1.7, 0.6)
POSITIVE = CLASSES[:3]
PATIENTS, SLICES = 40, 2


def tiny_settings() -> Settings:
    tree = finished_project.settings().model_dump(mode="json")
    tree["evaluation"] |= {"resamples": 200, "operating": {"positive": POSITIVE, "sensitivity": 0.9}}
    tree["registration"]["calibration_error"] = 1.0
    return Settings.model_validate(tree)


def write_member(folder: Path, seed: int, spec: ModelSpec) -> Path:
    """A package whose answer depends on a picture's colour, with features and maps."""
    folder.mkdir()
    weights = np.random.default_rng(seed).normal(0, 0.02, (3, len(spec.classes))).astype(np.float32)
    side = spec.preprocessing.image_size
    outputs = {"probabilities": [len(spec.classes)], FEATURES: [3], MAPS: [len(spec.classes), 1, 1]}
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["image", "axes"], [FEATURES], keepdims=0),
            helper.make_node("MatMul", [FEATURES, "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
            helper.make_node("Unsqueeze", ["logits", "behind"], [MAPS]),
        ],
        "colour",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", side, side, 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape]) for name, shape in outputs.items()],
        [
            numpy_helper.from_array(np.array([1, 2], dtype=np.int64), "axes"),
            numpy_helper.from_array(np.array([2, 3], dtype=np.int64), "behind"),
            numpy_helper.from_array(weights, "weights"),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), folder / ONNX_FILE)
    write_spec(spec, folder)
    if spec.decision.outliers is not None:
        save_reference(Reference(np.full((5, 3), 3**-0.5, np.float32), np.ones(3, np.float32)), folder / OUTLIERS_FILE)
    return folder


def register(
    connection: Connection,
    settings: Settings,
    paths: Paths,
    package: Path,
    spec: ModelSpec,
    out_of_fold: Predictions | None,
    scratch: Path,
) -> int:
    """As the pipeline leaves a version: a run with its out-of-fold predictions and its audit, and the package."""
    run = open_run(connection, settings, paths.cache)
    files = [Artifact(write_json(scratch.parent / "audit.json", {"policy": {"satisfied": True}}), "data_audit")]
    if out_of_fold is not None:
        write_again(out_of_fold, scratch.parent / "out_of_fold.csv")
        files.append(Artifact(scratch.parent / "out_of_fold.csv", "training"))
    run.log_results(files, {}, {})
    save_pyfunc(package, None, scratch, spec)
    version = registry.register(run, scratch, settings.registration.name, "Tiny.", {registry.TEST_DATA_TAG: "t"})
    run.finish()
    return version


def write_json(file: Path, content: Any) -> Path:
    file.write_text(json.dumps(content))
    return file


def table(seed: int) -> Predictions:
    """Out-of-fold predictions that are mostly right, of the same images whatever the seed."""
    truth = np.repeat(np.arange(PATIENTS) % len(CLASSES), SLICES)
    logits = 1.5 * np.eye(len(CLASSES))[truth] + np.random.default_rng(seed).normal(size=(len(truth), len(CLASSES)))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    names = [f"{number:03}" for number in range(len(truth))]
    groups = np.array([f"p{number // SLICES:02}" for number in range(len(truth))])
    folds = np.array([number // SLICES // 4 % 4 for number in range(len(truth))])
    labels = [CLASSES[each] for each in truth]
    return Predictions(names, names, names, groups, labels, truth, folds, probabilities, CLASSES)


def pictures() -> np.ndarray:
    return np.random.default_rng(5).uniform(0, 255, (6, 32, 32, 3)).astype(np.float32) * np.linspace(0, 1, 6).reshape(
        6, 1, 1, 1
    ).astype(np.float32)


def served(local, name: str, folder: Path, alias: str = registry.CHALLENGER) -> Classifier:
    package = registry.download(local, name, alias, folder)
    return Classifier.load(package.folder, package.name, package.version)
