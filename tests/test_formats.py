"""An exported folder can be used alone, and is only written if it says what the served model says."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnClassifier.config.network import PreprocessingSpec
from cnnClassifier.config.types import PrepareBaseModelConfig
from cnnClassifier.decision import decide
from cnnClassifier.destinations import check_new_folder
from cnnClassifier.ensembles import ENSEMBLE_FILE
from cnnClassifier.errors import ConfigError, DataError, ImageError, ModelError
from cnnClassifier.export import export_package
from cnnClassifier.formats.command import EARLIER, Source, Wish, _images, export, export_model
from cnnClassifier.formats.kinds import FILES, Format
from cnnClassifier.formats.reading import open_format
from cnnClassifier.inference import Classifier
from cnnClassifier.model_spec import ModelSpec, read_spec
from cnnClassifier.modeling import build_classifier, load_model, save_model
from cnnClassifier.preprocessing import preprocess
from imports import ROOT
from ingestion import paths_below

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("images")
    for number in range(3):
        Image.effect_noise((40, 30), 30 + 40 * number).save(folder / f"{number}.png")
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    folder = tmp_path_factory.mktemp("run")
    preprocessing = PreprocessingSpec(image_size=16, body_crop=False)
    config = PrepareBaseModelConfig(seed=1, backbone="SmallCNN", weights="none", preprocessing=preprocessing)
    model = build_classifier(config, classes=2)
    spec = ModelSpec(classes=("a", "b"), preprocessing=preprocessing, backbone="SmallCNN", weights="none", freeze="all")
    save_model(model, spec, folder / "keras")
    (folder / "package").mkdir()
    export_package(model, spec, folder / "package")
    return Source("a tiny model", folder / "package", folder / "keras")


@pytest.mark.parametrize("kind", Format)
def test_an_exported_folder_answers_alone_as_the_served_model_does(tmp_path, source, images, kind):
    parity = export(kind, tmp_path / "out", source, images, TOLERANCE)
    assert parity.images == 3
    assert parity.largest <= TOLERANCE
    spec = read_spec(tmp_path / "out")
    image = images[1].read_bytes()
    probabilities, _ = open_format(kind, tmp_path / "out")(preprocess(image, spec.preprocessing)[np.newaxis])
    answer = decide(probabilities[0], spec.decision, spec.classes, None)
    expected = Classifier.load(source.package, "tiny", "1").classify(image)
    assert (answer.label, answer.state) == (expected.label, expected.state)
    report = json.loads((tmp_path / "out/export.json").read_text())
    assert report["probability"] == parity.probability
    assert (tmp_path / "out" / report["file"]).exists()


@pytest.mark.parametrize("kind", [Format.ONNX, Format.LITERT])
def test_another_model_than_the_served_one_is_refused_and_nothing_written(tmp_path, source, images, kind):
    model, spec = load_model(source.keras)
    kernel, bias = model.get_layer("logits").get_weights()
    model.get_layer("logits").set_weights([kernel, bias + np.float32([1, 0])])
    save_model(model, spec, tmp_path / "other")
    other = Source("a tiny model", source.package, tmp_path / "other")
    with pytest.raises(ModelError, match=rf"as {kind} differs from .* more than 0.0001 .* nothing was exported"):
        export(kind, tmp_path / "out", other, images, TOLERANCE)
    assert not (tmp_path / "out").exists()


def test_a_model_without_its_keras_model_can_be_exported_as_it_is_served(tmp_path, source, images):
    released = Source("a released model", source.package, None)
    export(Format.ONNX, tmp_path / "out", released, images, TOLERANCE)
    assert (tmp_path / "out" / FILES[Format.ONNX]).is_file()
    with pytest.raises(ModelError, match=r"a released model holds no Keras model.*it came with the code"):
        export(Format.LITERT, tmp_path / "tflite", released, images, TOLERANCE)


def test_an_ensemble_is_said_to_be_one_where_a_format_needs_a_keras_model(tmp_path, source, images):
    shutil.copytree(source.package, tmp_path / "package")
    (tmp_path / "package" / ENSEMBLE_FILE).write_text("{}")
    ensemble = Source("both version 1", tmp_path / "package", None)
    with pytest.raises(ModelError, match=r"both version 1 holds no Keras model.*an ensemble.*members one by one"):
        export(Format.LITERT, tmp_path / "tflite", ensemble, images, TOLERANCE)


@pytest.mark.parametrize("wish", [Wish(version=99), Wish(alias="challenger")])
def test_which_version_of_no_model_is_refused(tmp_path, wish):
    with pytest.raises(ConfigError, match="name it by --model"):
        export_model(Format.ONNX, tmp_path / "out", wish, None)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (Wish("chest_ct"), r"no model chest_ct@champion; `python main\.py import-model` registers the one that comes"),
        (Wish("chest_ct", 1), r"chest_ct has no version 1; there are: none; `python main\.py import-model` registers"),
        (Wish("phantom"), "no model phantom@champion; run the pipeline to register one"),
    ],
)
def test_before_there_is_a_registry_it_is_said_how_to_get_a_model(tmp_path, monkeypatch, images, wish, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for name in ("MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_HTTP_REQUEST_MAX_RETRIES"):
        monkeypatch.setenv(name, "1")  # else connecting sets them, for the tests that follow too
    shutil.copytree(ROOT / "config", "config")
    shutil.copyfile(ROOT / "params.yaml", "params.yaml")
    with pytest.raises(ModelError, match=said):
        export_model(Format.ONNX, tmp_path / "out", wish, images[0].parent)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config", "params.yaml"]


def test_an_export_replaces_an_earlier_one_and_nothing_else(tmp_path, source, images):
    for kind in (Format.SAVED_MODEL, Format.ONNX, Format.ONNX):
        check_new_folder(tmp_path / "out", EARLIER)
        export(kind, tmp_path / "out", source, images, TOLERANCE)
    (tmp_path / "out/thesis.txt").touch()
    with pytest.raises(ConfigError, match=r"out: something else is there \(thesis.txt\)"):
        check_new_folder(tmp_path / "out", EARLIER)


def test_without_images_nothing_can_be_compared(tmp_path, source):
    with pytest.raises(DataError, match="no image to compare"):
        export(Format.ONNX, tmp_path / "out", source, [], TOLERANCE)
    with pytest.raises(DataError, match="no image files there"):
        _images(paths_below(tmp_path), tmp_path)
    with pytest.raises(DataError, match="name a folder of some by --images"):
        _images(paths_below(tmp_path), None)


def test_only_files_that_are_meant_as_images_are_compared(tmp_path, images):
    (tmp_path / "scans/folder.png").mkdir(parents=True)
    (tmp_path / "scans/.thumbnails").mkdir()
    for name in ("._0.png", ".thumbnails/0.png", "0.png", "folder.png/1.png"):
        shutil.copyfile(images[0], tmp_path / "scans" / name)
    found = _images(paths_below(tmp_path), tmp_path / "scans")
    assert [str(file.relative_to(tmp_path / "scans")) for file in found] == ["0.png", "folder.png/1.png"]


def test_an_image_that_cannot_be_read_is_named(tmp_path, source, images):
    (tmp_path / "broken.png").write_text("no picture")
    with pytest.raises(ImageError, match=r"broken\.png: "):
        export(Format.ONNX, tmp_path / "out", source, [*images, tmp_path / "broken.png"], TOLERANCE)
    assert not (tmp_path / "out").exists()
