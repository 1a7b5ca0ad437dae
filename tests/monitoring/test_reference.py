"""The training reference: small, the same after saving, without anything of a patient, and refused when damaged."""

import numpy as np
import pytest

from cnnClassifier.errors import ModelError
from cnnClassifier.monitoring import reference as module
from cnnClassifier.monitoring.measuring import measure_files
from cnnClassifier.monitoring.properties import PROPERTIES, measure
from cnnClassifier.monitoring.reference import (
    REFERENCE_FILE,
    fit_axes,
    load_training_reference,
    save_training_reference,
)
from pictures import write_picture
from watched import TRAINED, draw, reference_of


def test_it_is_the_same_after_saving(reference, tmp_path):
    save_training_reference(reference, tmp_path / REFERENCE_FILE)
    first = (tmp_path / REFERENCE_FILE).read_bytes()
    loaded = load_training_reference(tmp_path)
    for name in module.COLUMNS:
        assert np.array_equal(getattr(loaded, name), getattr(reference, name))
    assert np.array_equal(loaded.axes.project(TRAINED.features), reference.components)
    save_training_reference(loaded, tmp_path / REFERENCE_FILE)
    assert (tmp_path / REFERENCE_FILE).read_bytes() == first


def test_it_holds_no_name_of_a_patient(reference, tmp_path):
    save_training_reference(reference, tmp_path / REFERENCE_FILE)
    assert reference.groups.dtype.kind == "i"
    assert TRAINED.groups[0].encode() not in (tmp_path / REFERENCE_FILE).read_bytes()


def test_axes_are_principal_components_of_unit_variance(reference):
    values = TRAINED.features - TRAINED.features.mean(axis=0)
    deviation = values.std(axis=0)
    _, _, directions = np.linalg.svd(values / (deviation + 0.1 * deviation.mean()), full_matrices=False)
    cosine = reference.components[:, 0] @ (values / (deviation + 0.1 * deviation.mean()) @ directions[0])
    cosine /= np.linalg.norm(reference.components[:, 0]) * np.linalg.norm(
        values / (deviation + 0.1 * deviation.mean()) @ directions[0]
    )
    assert abs(cosine) > 0.999
    assert reference.components.std(axis=0) == pytest.approx(1, abs=0.01)


def test_features_that_never_vary_have_no_axes():
    assert fit_axes(np.ones((20, 5))).components.shape == (0, 5)


def test_of_many_images_whole_groups_are_kept(monkeypatch):
    monkeypatch.setattr(module, "MOST", 100)
    images = draw(60, seed=2)
    kept = reference_of(images)
    assert 90 <= len(kept) <= 100
    sizes = sorted(images.groups.count(name) for name in set(images.groups))
    assert set(np.bincount(kept.groups)) <= set(sizes)


def test_a_package_without_one_has_none(tmp_path):
    assert load_training_reference(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", b"text"])
def test_a_damaged_one_is_named(tmp_path, content):
    (tmp_path / REFERENCE_FILE).write_bytes(content)
    with pytest.raises(ModelError, match=f"{REFERENCE_FILE}: not a training reference"):
        load_training_reference(tmp_path)


def test_one_of_other_properties_is_refused(reference, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PROPERTIES", ("width",))
    save_training_reference(reference, tmp_path / REFERENCE_FILE)
    monkeypatch.undo()
    with pytest.raises(ModelError, match="register the model again"):
        load_training_reference(tmp_path)


# --- properties of a picture --------------------------------------------------------------


def named(pixels: np.ndarray) -> dict[str, float]:
    return dict(zip(PROPERTIES, measure(pixels.astype(np.float32)), strict=True))


@pytest.mark.parametrize("level", [2, 5, 20])
def test_noise_is_measured_in_grey_levels_beside_edges_and_slopes(level):
    rows, columns = np.mgrid[:256, :256]
    scene = 60 + 0.3 * columns + 40 * (rows > 128)
    noisy = scene + np.random.default_rng(0).normal(0, level, scene.shape)
    assert named(scene[..., None])["noise"] < 0.5
    assert named(noisy[..., None])["noise"] == pytest.approx(level, rel=0.1)


def test_the_other_properties_are_what_they_say():
    pixels = np.zeros((40, 60, 3))
    pixels[:, 30:] = 255
    found = named(pixels)
    assert (found["width"], found["height"]) == (60, 40)
    assert (found["black"], found["white"]) == (0.5, 0.5)
    assert found["mean"] == pytest.approx(127.5, abs=0.01)
    assert found["contrast"] == pytest.approx(127.5, abs=0.01)
    assert found["sharpness"] > named(np.full((40, 60, 1), 9.0))["sharpness"] == 0


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 900, 3), (3000, 2000, 1)])
def test_pictures_of_any_shape_are_measured(shape):
    assert np.isfinite(measure(np.ones(shape, np.float32))).all()


def test_files_are_measured_in_their_order(tmp_path):
    files = [tmp_path / f"{number}.png" for number in range(3)]
    for number, file in enumerate(files):
        write_picture(file, number)
    assert measure_files(files).tolist() == [measure_files([file])[0].tolist() for file in files]
