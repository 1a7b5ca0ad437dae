"""A network in eight bits: what is served is what the head was trained on, and what was measured."""

import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
from onnx import helper
from pydantic import ValidationError

from cnnClassifier.components.base import NoLog
from cnnClassifier.config.network import PreprocessingSpec
from cnnClassifier.config.types import Paths, PrepareBaseModelConfig
from cnnClassifier.datasets.manifest import read_manifest
from cnnClassifier.eight_bits import quantise
from cnnClassifier.ensembles.merging import check_equal, merge
from cnnClassifier.errors import ModelError
from cnnClassifier.export import check_as_trained, export_package, quantise_package
from cnnClassifier.features.engine import ranging_pixels, ranging_records
from cnnClassifier.features.network import open_features
from cnnClassifier.formats.command import Source, export
from cnnClassifier.formats.kinds import Format
from cnnClassifier.inference import Classifier
from cnnClassifier.metrics.predictions import read_predictions
from cnnClassifier.model_spec import INPUT, ONNX_FILE, OUTPUT, ModelSpec, read_spec
from cnnClassifier.modeling import build_classifier, cut, load_model
from cnnClassifier.onnx_weights import convolutions, kernel_types, store_in_half
from tiny_pipeline import base_model, evaluate, ingest_and_audit, prepare, train, write_data

SIDE = 32
CLOSE = 1e-4
PREPROCESSING = PreprocessingSpec(image_size=SIDE, body_crop=False)


def pictures(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 255, (count, SIDE, SIDE, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One network served in float32, and in eight bits."""
    config = PrepareBaseModelConfig(seed=1, backbone="VGG16", weights="none", preprocessing=PREPROCESSING)
    spec = ModelSpec(
        classes=("a", "b"),
        preprocessing=PREPROCESSING,
        backbone="VGG16",
        weights="none",
        freeze="all",
        precision="int8",
    )
    model = build_classifier(config, 2)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            layer.bias.assign(np.random.default_rng(0).normal(size=layer.bias.shape))  # as trained ones; 0 is left out
    exact, rounded = tmp_path_factory.mktemp("exact"), tmp_path_factory.mktemp("rounded")
    export_package(model, spec, exact)
    shutil.copytree(exact, rounded, dirs_exist_ok=True)
    quantise_package(rounded, pictures(8))
    return exact, rounded


def load(package: Path) -> Classifier:
    return Classifier.load(package, "tiny", "1")


def test_it_says_nearly_the_same_and_all_of_it(packages):
    exact, rounded = map(load, packages)
    asked = pictures(4, seed=1)
    (probabilities, maps), (others, other_maps) = exact.explain_pixels(asked), rounded.explain_pixels(asked)
    assert 0 < np.abs(probabilities - others).max() < 0.05
    assert np.corrcoef(maps.ravel(), other_maps.ravel())[0, 1] > 0.9
    features, rounded_features = (each.features_of_pixels(asked) for each in (exact, rounded))
    assert np.linalg.norm(features - rounded_features) < 0.1 * np.linalg.norm(features)


def test_convolutions_compute_in_eight_bits_and_nothing_else_does(packages):
    graph = onnx.load(packages[1] / ONNX_FILE).graph
    made = {name: node for node in graph.node for name in node.output}
    read = {node.op_type for node in graph.node for name in node.input if _is_rounded(made.get(name))}
    assert all(_is_rounded(made.get(name)) for node in graph.node if node.op_type == "Conv" for name in node.input)
    assert {"Conv", "MaxPool"} <= read
    judged = [node for node in graph.node if node.op_type in ("MatMul", "Gemm")]
    assert judged
    assert not any(node.op_type == "QuantizeLinear" for node in judged)


def _is_rounded(node: Any) -> bool:
    return node is not None and node.op_type == "DequantizeLinear"


def test_its_file_keeps_kernels_for_training_and_half_precision_costs_nothing(packages, tmp_path):
    exact, rounded = (package / ONNX_FILE for package in packages)
    halved = tmp_path / ONNX_FILE
    store_in_half(rounded, halved)
    assert kernel_types(halved) == {"FLOAT16"}
    for (kernel, bias), (kept, kept_bias) in zip(convolutions(exact), convolutions(halved), strict=True):
        np.testing.assert_array_equal(kept, kernel.astype(np.float16).astype(np.float32))
        np.testing.assert_allclose(kept_bias, bias, atol=0.5)
    (tmp_path / "model.json").write_bytes((packages[1] / "model.json").read_bytes())
    asked = pictures(2)
    np.testing.assert_array_equal(load(tmp_path).features_of_pixels(asked), load(packages[1]).features_of_pixels(asked))


def test_the_same_images_give_the_same_file(packages, tmp_path):
    for number in (1, 2):
        quantise(packages[0] / ONNX_FILE, tmp_path / f"{number}.onnx", pictures(8))
    assert (tmp_path / "1.onnx").read_bytes() == (tmp_path / "2.onnx").read_bytes()
    assert {file.name for file in tmp_path.iterdir()} == {"1.onnx", "2.onnx"}


def test_it_joins_an_ensemble_with_one_in_float32(packages, tmp_path):
    merge(packages, [1.0, 2.0], tmp_path / ONNX_FILE, features=True)
    (tmp_path / "model.json").write_bytes((packages[1] / "model.json").read_bytes())
    exact, rounded = map(load, packages)
    warmer = rounded.spec.decision.model_copy(update={"temperature": 2.0})
    rounded = Classifier(**vars(rounded) | {"spec": rounded.spec.model_copy(update={"decision": warmer})})
    assert check_equal([exact, rounded], load(tmp_path)) < CLOSE


def test_a_network_without_convolutions_has_nothing_to_round(tmp_path):
    image = helper.make_tensor_value_info(INPUT, onnx.TensorProto.FLOAT, (None, 2))
    answer = helper.make_tensor_value_info(OUTPUT, onnx.TensorProto.FLOAT, (None, 2))
    graph = helper.make_graph([helper.make_node("Softmax", [INPUT], [OUTPUT])], "none", [image], [answer])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8), tmp_path / "a.onnx")
    with pytest.raises(ModelError, match=r"no convolutions.*float32"):
        quantise(tmp_path / "a.onnx", tmp_path / "b.onnx", [])
    assert not (tmp_path / "b.onnx").exists()


def test_what_is_trained_further_is_not_rounded():
    with pytest.raises(ValidationError, match="freeze: all"):
        base_model(precision="int8", freeze="block2_pool")


# --- the pipeline --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    """A tiny project whose frozen part computes in eight bits, up to its package."""
    folder = tmp_path_factory.mktemp("eight_bits")
    paths = ingest_and_audit(folder / "project", write_data(folder / "data"))
    prepare(paths, freeze="all", precision="int8")
    train(paths, NoLog(), epochs=10)
    evaluate(paths)
    model, spec = load_model(paths.model)
    paths.package.mkdir(parents=True)
    export_package(model, spec, paths.package, paths.outliers)
    quantise_package(paths.package, ranging_pixels(ranging_records(paths), paths, spec.preprocessing))
    return paths


def test_the_served_network_says_what_was_measured(run):
    predicted = read_predictions(run.predictions)
    served = load(run.package)
    assert served.spec.precision == "int8"
    asked = [served.classify((run.images / path).read_bytes()) for path in predicted.paths]
    told = np.array([list(answer.probabilities.values()) for answer in asked])
    np.testing.assert_allclose(told, predicted.probabilities, atol=2e-3)  # features are kept in half precision


def test_registration_sees_that_it_is_the_network_that_was_trained_on(run, packages, tmp_path):
    model, spec = load_model(run.model)
    parts = cut(model, spec.freeze)
    trunk = open_features(parts, spec, run).forward
    files = [run.images / record.path for record in read_manifest(run.audited_manifest) if record.split == "test"]
    assert check_as_trained(parts, trunk, run.package, files, CLOSE) < CLOSE
    export_package(model, spec, tmp_path)  # in float32, which the head never saw
    with pytest.raises(ModelError, match="what its head was trained on"):
        check_as_trained(parts, trunk, tmp_path, files, CLOSE)


def test_a_second_run_takes_the_network_that_the_first_one_made(run):
    made = {file: file.stat().st_mtime_ns for file in (run.cache / "eight_bits").iterdir()}
    model, spec = load_model(run.base_model)
    parts = cut(model, spec.freeze)
    exact = open_features(parts, spec.model_copy(update={"precision": "float32"}), run)
    assert open_features(parts, spec, run).space.key != exact.space.key
    assert {file: file.stat().st_mtime_ns for file in (run.cache / "eight_bits").iterdir()} == made
    assert [file.suffix for file in made] == [".onnx"]


@pytest.mark.parametrize("kind", [Format.ONNX, Format.LITERT])
def test_it_is_exported_with_what_that_differs_by(run, tmp_path, kind):
    files = [run.images / record.path for record in read_manifest(run.audited_manifest) if record.split == "test"]
    parity = export(kind, tmp_path / "out", Source("tiny", run.package, run.model), files[:4], CLOSE)
    assert CLOSE < parity.largest < 0.1
    assert read_spec(tmp_path / "out").precision == "int8"
