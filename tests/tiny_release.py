"""A finished chest_ct run without its training: a one-layer network, what it says of noise, and what a run leaves."""

import io
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from cnnClassifier.config.loading import load_settings
from cnnClassifier.config.network import PreprocessingSpec
from cnnClassifier.config.types import Paths
from cnnClassifier.datasets.manifest import ImageRecord
from cnnClassifier.files import write_json, write_text
from cnnClassifier.inference import Classifier
from cnnClassifier.metrics.predictions import write_predictions
from cnnClassifier.model_spec import FEATURES, INPUT, ONNX_FILE, OUTPUT, ModelSpec, write_spec
from cnnClassifier.release.packing import pack_release
from cnnClassifier.tracking.run import RunRecord, params_digest
from cnnClassifier.tracking.standing import Standing
from imports import ROOT
from ingestion import paths_below

PARAMS = ROOT / "config/experiments/chest_ct.yaml"
NAME = "chest_ct"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
CLASSES = ("adenocarcinoma", "large_cell_carcinoma", "normal", "squamous_cell_carcinoma")
SIZE = 16
RUN_ID = "0123456789abcdef"


def finished_run(root: Path) -> Paths:
    """The files below `root` that a finished run leaves and a release is made of."""
    paths = paths_below(root)
    write_tiny_package(paths.package)
    write_evidence(paths)
    settings = load_settings(PARAMS)
    registration = {"name": NAME, "version": 3, "run_id": RUN_ID, "champion": True, "reason": "it is the best"}
    registration |= {"commit": COMMIT, "uncommitted_changes": False}
    write_json(registration | {"metric": "grouped_cv.balanced_accuracy", "score": 0.5}, paths.registration)
    record = RunRecord("sqlite:///elsewhere.db", NAME, params_digest(settings), RUN_ID, finished=True)
    write_json(asdict(record), paths.cache / "tracking/run.json")
    return paths


def released(root: Path, promoted: str | None = None) -> Path:
    """A released model's folder, `root`/models/chest_ct."""
    pack_release(load_settings(PARAMS), PARAMS, finished_run(root / "project"), root / "models", Standing(promoted))
    return root / "models" / NAME


def write_evidence(paths: Paths) -> None:
    """Test images and what the package says of them, in the tables and metrics of a run."""
    classifier = Classifier.load(paths.package, NAME, "3", threads=1)
    pictures = {f"test/{number:02}.png": picture(number) for number in range(8)}
    answers = [list(classifier.classify(data).probabilities.values()) for data in pictures.values()]
    for path, data in pictures.items():
        (paths.images / path).parent.mkdir(parents=True, exist_ok=True)
        (paths.images / path).write_bytes(data)
    records = [_record(path, number) for number, path in enumerate(pictures)]
    probabilities = np.array(answers)
    write_predictions(records, probabilities, CLASSES, paths.predictions)
    write_predictions(records, probabilities, CLASSES, paths.out_of_fold, folds=np.arange(8) % 2)
    write_json({"grouped_cv": {"balanced_accuracy": {"value": 0.5}}, "data": {"test_sha256": "ab"}}, paths.metrics)
    write_text("id,path\n", paths.audited_manifest)


def write_tiny_package(folder: Path, largest: float = 0.01) -> Path:
    """A package of one dense layer over all pixels, its weights drawn up to `largest`."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = np.random.default_rng(0).uniform(-largest, largest, (SIZE * SIZE * 3, len(CLASSES)))
    onnx.save(_dense(weights.astype(np.float32)), folder / ONNX_FILE)
    preprocessing = PreprocessingSpec(image_size=SIZE, body_crop=False, contrast=None)
    spec = ModelSpec(classes=CLASSES, preprocessing=preprocessing, backbone="Dense", weights="none", freeze="none")
    write_spec(spec, folder)
    for kind in ("md", "html"):
        (folder / f"model_card.{kind}").write_text("A tiny card.")
    return folder


def picture(seed: int) -> bytes:
    """Noise as a PNG."""
    encoded = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 20), dtype=np.uint8)
    Image.fromarray(pixels).save(encoded, "PNG")
    return encoded.getvalue()


def _record(path: str, number: int) -> ImageRecord:
    label = CLASSES[number % len(CLASSES)]
    return ImageRecord(str(number), path, label, "test", f"p{number}", f"{number:064}", "", 20, 20, "L", "PNG", 0)


def _dense(weights: np.ndarray) -> onnx.ModelProto:
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", [INPUT], [FEATURES]),
            helper.make_node("MatMul", [FEATURES, "kernel"], ["logits"]),
            helper.make_node("Softmax", ["logits"], [OUTPUT], axis=-1),
        ],
        "dense",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", SIZE, SIZE, 3])],
        [
            helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", len(CLASSES)]),
            helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["batch", len(weights)]),
        ],
        [numpy_helper.from_array(weights, "kernel")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
