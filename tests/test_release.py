"""A finished run becomes a folder to commit, whose answers are those that its metrics were measured on."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cnnClassifier.config.loading import load_settings
from cnnClassifier.config.types import Paths
from cnnClassifier.errors import ConfigError, DataError, ModelError
from cnnClassifier.files import read_json, write_json
from cnnClassifier.inference import Classifier
from cnnClassifier.model_spec import ONNX_FILE
from cnnClassifier.onnx_weights import kernel_types
from cnnClassifier.release.folder import read_release
from cnnClassifier.release.packing import LARGEST, pack_release
from cnnClassifier.tracking.registry import RegisteredModel
from cnnClassifier.tracking.run import read_record
from cnnClassifier.tracking.standing import Standing
from tiny_release import CLASSES, COMMIT, NAME, PARAMS, finished_run, picture, write_tiny_package


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return finished_run(tmp_path)


def pack(paths: Paths, tmp_path: Path, params: Path = PARAMS) -> Path:
    pack_release(load_settings(params), params, paths, tmp_path / "models")
    return tmp_path / "models" / NAME


def test_a_release_is_the_package_in_half_precision_with_its_evidence(paths, tmp_path):
    folder = pack(paths, tmp_path)
    for name, source in {
        "model.json": paths.package / "model.json",
        "model_card.html": paths.package / "model_card.html",
        "metrics.json": paths.metrics,
        "predictions.csv": paths.predictions,
        "out_of_fold.csv": paths.out_of_fold,
        "params.yaml": PARAMS,
    }.items():
        assert (folder / name).read_bytes() == source.read_bytes()
    assert (kernel_types(paths.package / ONNX_FILE), kernel_types(folder / ONNX_FILE)) == ({"FLOAT"}, {"FLOAT16"})
    assert [path.name for path in folder.parent.iterdir()] == [NAME]


def test_it_says_where_it_comes_from_and_what_rounding_did(paths, tmp_path):
    release = read_release(pack(paths, tmp_path))
    assert (release.name, release.metric, release.score) == (NAME, "grouped_cv.balanced_accuracy", 0.5)
    assert (release.commit, release.uncommitted_changes) == (COMMIT, False)
    assert release.data["test_sha256"] == "ab"
    assert (release.rounding.images, release.rounding.changed_answers) == (8, 0)
    assert 0 < release.rounding.largest_difference < 0.01


def test_a_run_that_did_not_say_its_commit_is_released_without_one(paths, tmp_path, caplog):
    """As of before registration.json had it: the code of today is not that of the run."""
    told = read_json(paths.registration)
    write_json({key: told[key] for key in told if key not in ("commit", "uncommitted_changes")}, paths.registration)
    release = read_release(pack(paths, tmp_path))
    assert (release.commit, release.uncommitted_changes) == (None, None)
    assert "does not say the run's commit" in caplog.text


def test_a_version_that_is_not_champion_is_warned_of_unless_somebody_promoted_it(paths, tmp_path, caplog):
    write_json(read_json(paths.registration) | {"champion": False, "reason": "not better"}, paths.registration)
    folder = pack(paths, tmp_path)
    assert "this version did not become champion: not better" in caplog.text
    caplog.clear()
    pack_release(load_settings(PARAMS), PARAMS, paths, tmp_path / "models", Standing("checked by hand"))
    assert "champion" not in caplog.text
    release = read_release(folder)
    assert (release.gate, release.promoted) == ("not better", "checked by hand")


def test_a_version_that_another_has_replaced_since_is_warned_of(paths, tmp_path, caplog):
    other = RegisteredModel(NAME, 1, "r", {"promoted.because": "checked by hand"})
    pack_release(load_settings(PARAMS), PARAMS, paths, tmp_path / "models", Standing(champion=other))
    assert "version, 3, is no longer champion: version 1 is, promoted because: checked by hand" in caplog.text


def test_it_computes_in_single_precision_with_rounded_weights(paths, tmp_path):
    served = Classifier.load(pack(paths, tmp_path), NAME, "1", threads=1)
    exact = Classifier.load(paths.package, NAME, "3", threads=1)
    pixels = np.random.default_rng(0).uniform(0, 255, (4, 16, 16, 3)).astype(np.float32)
    weights = np.random.default_rng(0).uniform(-0.01, 0.01, (16 * 16 * 3, 4)).astype(np.float32)
    logits = pixels.reshape(4, -1) @ weights.astype(np.float16).astype(np.float32)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert np.allclose(served.classify_pixels(pixels), expected, rtol=1e-4)
    assert not np.allclose(exact.classify_pixels(pixels), expected, rtol=1e-4)


def test_a_release_replaces_an_older_one_and_nothing_that_was_put_beside_it(paths, tmp_path):
    (paths.package / "of.old").touch()
    assert (pack(paths, tmp_path) / "of.old").exists()
    (paths.package / "of.old").unlink()
    folder = pack(paths, tmp_path)
    assert not (folder / "of.old").exists()
    (folder / "notes.md").touch()
    with pytest.raises(ConfigError, match=r"something else is there \(notes.md\)"):
        pack(paths, tmp_path)


def test_metrics_that_are_not_those_of_the_rounded_model_are_not_released(paths, tmp_path):
    folder = pack(paths, tmp_path)
    header, first, *rows = paths.predictions.read_text().splitlines()
    *known, _, a, b, c, d = first.split(",")
    swapped = max(range(4), key=[a, b, c, d].__getitem__)
    wrong = ["0.9" if column == (swapped + 1) % 4 else "0.0333333" for column in range(4)]
    paths.predictions.write_text("\n".join([header, ",".join([*known, CLASSES[0], *wrong]), *rows]) + "\n")
    with pytest.raises(ModelError, match="answers 1 of 8 test images differently"):
        pack(paths, tmp_path)
    assert read_release(folder).rounding.other_than_predicted == 0  # the older one is still there


def test_parameters_that_the_run_did_not_have_are_not_released_with_it(paths, tmp_path):
    other = tmp_path / "params.yaml"
    other.write_text(PARAMS.read_text().replace("learning_rate: ", "learning_rate: 1"))
    with pytest.raises(DataError, match=r"other parameters than params\.yaml"):
        pack(paths, tmp_path, other)


def test_a_run_that_was_begun_again_is_not_released(paths, tmp_path):
    record = replace(read_record(paths.cache), finished=False)
    write_json(vars(record), paths.cache / "tracking/run.json")
    with pytest.raises(DataError, match="not finished"):
        pack(paths, tmp_path)


def test_a_version_without_a_score_is_refused_before_the_work(paths, tmp_path):
    """As of a metric that cannot be computed, such as a sensitivity without one picture of the class."""
    write_json(read_json(paths.registration) | {"score": None, "champion": False}, paths.registration)
    (paths.package / ONNX_FILE).unlink()  # nothing is read of what would be released
    with pytest.raises(ModelError, match=r"version 3 has no value of grouped_cv\.balanced_accuracy"):
        pack(paths, tmp_path)


def test_without_a_run_it_says_what_to_do(tmp_path):
    paths = finished_run(tmp_path)
    paths.registration.unlink()
    with pytest.raises(DataError, match=r"no finished run; run `python main\.py` first"):
        pack(paths, tmp_path)


def test_a_missing_test_image_is_named(paths, tmp_path):
    (paths.images / "test/03.png").unlink()
    with pytest.raises(DataError, match=r"03\.png: no such file"):
        pack(paths, tmp_path)


def test_what_is_too_large_for_git_is_refused_with_each_size(paths, tmp_path):
    (paths.package / "outliers.npz").write_bytes(bytes(LARGEST))
    with pytest.raises(ModelError, match=r"below 32 MiB; this one would be 32\.\d \(.*outliers\.npz 32\.00"):
        pack(paths, tmp_path)
    assert not (tmp_path / "models" / NAME).exists()


def test_weights_beyond_half_precision_are_refused(paths, tmp_path):
    write_tiny_package(paths.package, largest=70_000)
    with pytest.raises(ModelError, match="beyond half precision"):
        pack(paths, tmp_path)


def test_a_damaged_release_is_named(paths, tmp_path):
    file = pack(paths, tmp_path) / "release.json"
    write_json({**read_json(file), "surprise": 1}, file)
    with pytest.raises(ModelError, match=r"release\.json: not a release"):
        read_release(file.parent)
    file.write_text(json.dumps([]))
    with pytest.raises(ModelError, match=r"release\.json: not a release"):
        read_release(file.parent)


def test_a_release_answers_pictures(paths, tmp_path):
    prediction = Classifier.load(pack(paths, tmp_path), NAME, "1", threads=1).classify(picture(3))
    assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=1e-5)
