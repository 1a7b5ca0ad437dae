"""Small classes get as many examples as the largest, made of a fit's own images and of no others."""

import hashlib
import tracemalloc
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from cnnClassifier import balancing
from cnnClassifier.balancing import bytes_needed, repeated_rows, smote
from cnnClassifier.config.network import PreprocessingSpec
from cnnClassifier.config.types import TrainingConfig
from cnnClassifier.cross_validation import cross_validate
from cnnClassifier.datasets.manifest import ImageRecord
from cnnClassifier.errors import ConfigError
from cnnClassifier.features.extraction import FeatureExtractor, Space
from cnnClassifier.features.network import PLAIN
from cnnClassifier.fitting import make_deterministic, values_of
from cnnClassifier.folds import Folds
from cnnClassifier.memory import available_bytes
from cnnClassifier.model_spec import ModelSpec
from cnnClassifier.recipe import Recipe

SIZE = 16
CLASSES = ("dark", "bright", "middle")
GREY = {"dark": 60, "bright": 190, "middle": 125}
COUNTS = {"dark": 12, "bright": 5, "middle": 3}
SPEC = ModelSpec(
    classes=CLASSES,
    preprocessing=PreprocessingSpec(image_size=SIZE, body_crop=False, contrast=None),
    backbone="means",
    weights="none",
    freeze="all",
)
METHODS = ["oversample", "smote", "pixel_smote"]


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    folder, draw = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for label, grey in GREY.items():
        for number in range(COUNTS[label]):
            pixels = draw.normal(grey, 30, (SIZE, SIZE)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{label}_{number:02}.png")
    return folder


@pytest.fixture(scope="module")
def records(images) -> list[ImageRecord]:
    return [_record(file) for file in sorted(images.iterdir())]


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def recipe(images, cache):
    """Makes recipes of one small tail on each picture's four quarters, or on its pixels; all start alike."""

    def make(method: str, kind: type[FeatureExtractor] = FeatureExtractor, pixels: bool = False, **changes) -> Recipe:
        make_deterministic(3)
        features = keras.Input((SIZE, SIZE, 3) if pixels else (4,))
        x = keras.layers.Flatten()(features) if pixels else keras.layers.Rescaling(1 / 255)(features)
        tail = keras.Model(features, keras.layers.Dense(3)(x))
        trunk = (lambda batch: batch) if pixels else quarters
        extractor = kind(cache, images, Space(SPEC.preprocessing, f"quarters{pixels}"), trunk)
        settings = {"seed": 1, "epochs": 9, "batch_size": 4, "learning_rate": 0.05, "patience": 9, **changes}
        return Recipe(tail, extractor, SPEC, TrainingConfig(balancing={"method": method}, **settings))

    return make


class Poisoned(FeatureExtractor):
    """Gives no numbers for the images that the tests hold out."""

    def read_views(self, items):
        found = super().read_views(items)
        found[[_is_held_out(record) for record, _ in items]] = np.nan
        return found


def _is_held_out(record: ImageRecord) -> bool:
    return _fold_of(record) == 0


def _fold_of(record: ImageRecord) -> int:
    return int(record.path[-6:-4]) % 3


def _record(file: Path) -> ImageRecord:
    digest, label = hashlib.sha256(file.read_bytes()).hexdigest(), file.name[:-7]
    return ImageRecord(digest[:12], file.name, label, "train", file.stem, digest, digest, SIZE, SIZE, "L", "PNG", 1)


def quarters(batch: np.ndarray) -> np.ndarray:
    half = SIZE // 2
    return batch[..., 0].reshape(-1, 2, half, 2, half).mean(axis=(2, 4)).reshape(-1, 4)


def _examples(made: Recipe, records):
    real = made._examples(records, [PLAIN])
    return real, made.balancing.apply(real, records)


# --- what is made -------------------------------------------------------------------------


def test_images_of_small_classes_are_repeated_evenly_and_by_the_seed():
    labels = np.array([0] * 7 + [1] * 3 + [3] * 7)
    rows = repeated_rows(labels, seed=1)
    assert rows[: len(labels)].tolist() == list(range(len(labels)))
    assert np.bincount(labels[rows]).tolist() == [7, 7, 0, 7]
    assert sorted(np.bincount(rows)[7:10].tolist()) == [2, 2, 3]
    np.testing.assert_array_equal(rows, repeated_rows(labels, seed=1))
    assert any(not np.array_equal(rows, repeated_rows(labels, seed)) for seed in range(2, 9))


def test_a_synthetic_vector_lies_on_the_line_between_two_of_its_class():
    draw = np.random.default_rng(0)
    vectors = draw.normal(size=(30, 6)).astype(np.float32)
    labels = np.array([0] * 20 + [1] * 8 + [2] * 2)
    made, of_class = smote(vectors, labels, 5, seed=1)
    assert np.bincount(np.concatenate([labels, of_class])).tolist() == [20, 20, 20]
    for vector, label in zip(made, of_class, strict=True):
        own = vectors[labels == label]
        pairs = [(a, b) for a in own for b in own if a is not b]
        off = [np.linalg.norm(vector - a) + np.linalg.norm(vector - b) - np.linalg.norm(a - b) for a, b in pairs]
        assert min(off) < 1e-5
    np.testing.assert_array_equal(made, smote(vectors, labels, 5, seed=1)[0])
    assert not np.array_equal(made, smote(vectors, labels, 5, seed=2)[0])


@pytest.mark.parametrize("method", METHODS)
def test_every_class_has_as_many_examples_as_the_largest_and_the_same_say(recipe, records, method):
    real, all_of_them = _examples(recipe(method), records)
    assert np.bincount(all_of_them.labels).tolist() == [12, 12, 12]
    assert [all_of_them.weights[all_of_them.labels == label].sum() for label in range(3)] == pytest.approx([12] * 3)
    draw, rows = np.random.default_rng(0), np.arange(len(records))
    np.testing.assert_array_equal(all_of_them.read(rows, draw), real.read(rows, draw))
    extra = all_of_them.read(np.arange(len(records), 36)[::-1], draw)[::-1]
    grey = [extra[all_of_them.labels[len(records) :] == label].mean() for label in (1, 2)]
    assert grey == pytest.approx([190, 125], abs=15)


def test_without_balancing_nothing_changes(recipe, records):
    real, the_same = _examples(recipe("none"), records)
    assert the_same is real


def test_synthetic_examples_of_pictures_are_their_own_features(recipe, records):
    """A mean of a line's ends lies on the line of the means: between pictures, or between quarters, all is one."""
    _, of_pixels = _examples(recipe("pixel_smote"), records)
    made = of_pixels.read(np.arange(len(records), 36), np.random.default_rng(0))
    assert made.shape == (16, 4)
    real = of_pixels.read(np.arange(len(records)), np.random.default_rng(0))
    for label in (1, 2):
        own, new = real[of_pixels.labels[:20] == label], made[of_pixels.labels[20:] == label]
        assert (new >= own.min(axis=0) - 0.1).all()
        assert (new <= own.max(axis=0) + 0.1).all()


def test_a_partly_frozen_network_takes_pixel_smote(recipe, records, tmp_path):
    made = recipe("pixel_smote", pixels=True, epochs=1)
    made.fit_for(records, 1, tmp_path / "fit.npz")
    assert np.isfinite(made.predict(records)).all()


# --- what it is made of -------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_what_held_out_images_are_changes_no_fit(recipe, records, method, tmp_path, monkeypatch):
    fold = np.array([_fold_of(record) for record in records])
    rest = [record for record in records if not _is_held_out(record)]
    held_out = [record for record in records if _is_held_out(record)]
    fitted = {}
    for name, kind in (("honest", FeatureExtractor), ("poisoned", Poisoned)):
        made = recipe(method, kind)
        made.features.ensure(records, [PLAIN])
        if kind is Poisoned:  # nor may their files be opened again
            monkeypatch.setattr(made.features, "images", _without(held_out, made.features.images, tmp_path / "images"))
        made.fit_for(rest, 9, tmp_path / f"{name}.npz")
        fitted[name] = values_of(made.tail.variables)
        assert np.isfinite(made.predict(held_out)).all() == (kind is FeatureExtractor)
    for honest, poisoned in zip(fitted["honest"], fitted["poisoned"], strict=True):
        np.testing.assert_array_equal(honest, poisoned)
    first = recipe(method)
    probabilities = cross_validate(first, Folds(records, fold, 9), tmp_path / "c")
    alone = recipe(method)
    alone.fit_for(rest, 9, tmp_path / "alone.npz")
    np.testing.assert_array_equal(probabilities[fold == 0], alone.predict(held_out))


def test_early_stopping_watches_real_images_alone(recipe, records, tmp_path):
    held_out = [record for record in records if _is_held_out(record)]
    rest = [record for record in records if not _is_held_out(record)]
    plain, balanced = recipe("none", learning_rate=1e-12), recipe("smote", learning_rate=1e-12)
    losses = [
        each.search(rest, held_out, tmp_path / f"{number}.npz", lambda *_: None, tmp_path / "t").history[0]["val_loss"]
        for number, each in enumerate((plain, balanced))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)  # the tail has not moved: the same images are asked about


def _without(held_out, images: Path, folder: Path) -> Path:
    folder.mkdir()
    for file in images.iterdir():
        if file.name not in {record.path for record in held_out}:
            (folder / file.name).write_bytes(file.read_bytes())
    return folder


# --- refusals -----------------------------------------------------------------------------


def test_smote_refuses_what_are_no_vectors(recipe):
    with pytest.raises(ConfigError, match=r"training.balancing.method: `smote` .* `freeze: all`, or `oversample`"):
        recipe("smote", pixels=True)


def test_a_class_of_a_single_image_has_nothing_to_lie_between(recipe, records):
    few = [record for record in records if record.label != "middle"][:-1] + records[-1:]
    with pytest.raises(ConfigError, match=r"of middle .* use `oversample`"):
        _examples(recipe("smote"), few)


@pytest.mark.parametrize("method", ["smote", "pixel_smote"])
def test_what_does_not_fit_in_memory_is_refused_before_anything_starts(recipe, records, method, tmp_path, monkeypatch):
    monkeypatch.setattr(balancing, "available_bytes", lambda: 1000)
    made = recipe(method)
    with pytest.raises(ConfigError, match=r"would need about 0.0 GB of memory, and 0.0 GB are available"):
        made.search(records[::2], records[1::2], tmp_path / "s.npz", lambda *_: None, tmp_path / "t")
    recipe("oversample").balancing.check_memory(records)


def test_the_memory_it_names_is_what_smote_takes():
    labels = np.array([0] * 150 + [1] * 60 + [2] * 20)
    numbers = 4000
    vectors = np.random.default_rng(0).normal(size=(len(labels), numbers)).astype(np.float32)
    smote(vectors[:, :8], labels, 5, seed=1)  # imports
    tracemalloc.start()
    smote(vectors, labels, 5, seed=1)
    measured = tracemalloc.get_traced_memory()[1] + vectors.nbytes
    tracemalloc.stop()
    named = bytes_needed(labels, numbers, kept=0)
    assert measured <= named <= 1.6 * measured


def test_a_container_may_leave_less_memory_than_the_machine_has(tmp_path):
    free = available_bytes(tmp_path)
    assert free > 10_000_000
    for name, text in {"max": "9000000", "current": "7000000", "stat": "anon 1\ninactive_file 500000\n"}.items():
        (tmp_path / f"memory.{name}").write_text(text)
    assert available_bytes(tmp_path) == 2_500_000
    (tmp_path / "memory.max").write_text("max\n")
    assert available_bytes(tmp_path) > 10_000_000
