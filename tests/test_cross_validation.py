"""Every image is predicted by a model that saw nobody of its group, whatever the order, whatever was killed before."""

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from cnnClassifier import recipe as recipe_module
from cnnClassifier.config.network import PreprocessingSpec
from cnnClassifier.config.types import AugmentationConfig, TrainingConfig
from cnnClassifier.cross_validation import cross_validate
from cnnClassifier.datasets.manifest import ImageRecord
from cnnClassifier.errors import DataError
from cnnClassifier.features.extraction import FeatureExtractor, Space
from cnnClassifier.fitting import make_deterministic
from cnnClassifier.folds import Folds, deal_folds
from cnnClassifier.model_spec import ModelSpec
from cnnClassifier.modeling import STANDARDISE
from cnnClassifier.recipe import Recipe

SIZE = 16
SPEC = ModelSpec(
    classes=("dark", "bright"),
    preprocessing=PreprocessingSpec(image_size=SIZE, body_crop=False, contrast=None),
    backbone="means",
    weights="none",
    freeze="all",
)
PATIENTS, SLICES = 4, 2


def record(path: str, label: str, group: str, data: bytes = b"") -> ImageRecord:
    digest = hashlib.sha256(data or path.encode()).hexdigest()
    return ImageRecord(digest[:12], path, label, "train", group, digest, digest, SIZE, SIZE, "L", "PNG", 1)


def patients(**of_class: int) -> list[ImageRecord]:
    """Records without files: so many patients of each class, of one to five images each."""
    draw = np.random.default_rng(0)
    groups = [(label, f"{label}{number}") for label, count in of_class.items() for number in range(count)]
    named = [(label, group, slice_) for label, group in groups for slice_ in range(draw.integers(1, 6))]
    return [record(f"{group}_{slice_}.png", label, group) for label, group, slice_ in named]


# --- dealing ------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_no_group_is_in_two_folds_and_every_class_is_in_what_each_fold_is_fitted_on(seed):
    records = patients(a=12, b=5, c=2)
    fold = deal_folds(records, 5, seed)
    groups = np.array([each.group for each in records])
    assert set(fold) == set(range(5))
    assert all(len(set(fold[groups == group])) == 1 for group in set(groups))
    for number in range(5):
        rest = [each for each, its_fold in zip(records, fold, strict=True) if its_fold != number]
        assert {each.label for each in rest} == {"a", "b", "c"}


def test_classes_are_spread_over_the_folds():
    records = patients(a=20, b=10)
    fold = deal_folds(records, 5, seed=1)
    labels = np.array([each.label for each in records])
    for label in "ab":
        share = np.bincount(fold[labels == label]) / np.bincount(fold)
        assert np.ptp(share) < 0.2


@pytest.mark.parametrize("seed", range(5))
def test_an_image_has_its_fold_whatever_the_order_of_listing(seed):
    records = patients(a=7, b=5, c=3)
    order = np.random.default_rng(seed).permutation(len(records))
    shuffled = deal_folds([records[row] for row in order], 4, seed)
    np.testing.assert_array_equal(shuffled, deal_folds(records, 4, seed)[order])


def test_no_class_falls_wholly_into_one_fold_where_a_patient_has_images_of_two_classes():
    """scikit-learn balances counts of images: with seed 0 it puts every image of c into one fold."""
    images = {("p1", "a"): 2, ("p1", "b"): 1, ("p2", "a"): 10, ("p3", "b"): 1, ("p4", "b"): 2,
              ("p5", "c"): 10, ("p6", "c"): 1, ("p7", "c"): 2}  # fmt: skip
    records = [
        record(f"{group}{label}{number}.png", label, group)
        for (group, label), count in images.items()
        for number in range(count)
    ]
    labels = np.array([each.label for each in records])
    for seed in range(20):
        fold = deal_folds(records, 2, seed)
        assert all(set(labels[fold != number]) == {"a", "b", "c"} for number in (0, 1))


def test_another_seed_deals_otherwise():
    records = patients(a=20, b=20)
    assert not np.array_equal(deal_folds(records, 5, seed=1), deal_folds(records, 5, seed=2))


@pytest.mark.parametrize("of_class", [{"a": 2, "b": 2}, {"a": 3, "b": 2, "c": 2}])
def test_of_fewer_groups_than_folds_there_are_fewer_folds(of_class):
    names = [(label, f"{label}{number}") for label, count in of_class.items() for number in range(count)]
    records = [record(f"{group}.png", label, group) for label, group in names]
    fold = deal_folds(records, 20, seed=1)
    assert 2 <= len(set(fold)) <= len(records)
    assert set(fold) == set(range(fold.max() + 1))


def test_a_class_of_one_group_is_an_error_that_names_it_and_says_what_to_do():
    records = patients(a=4, lonely=1, b=4, alone=1)
    with pytest.raises(
        DataError, match=r"images of alone, lonely are of one patient .* raise `data_audit.same_patient`"
    ):
        deal_folds(records, 5, seed=1)


# --- predicting ---------------------------------------------------------------------------


@dataclass
class Watched(Recipe):
    """Remembers how many images each fit had; pulls the plug when it is asked for one fit more than `fits`."""

    fits: int = 99
    fitted: list[int] = field(default_factory=list)

    def fit_for(self, records, epochs, checkpoint):
        if len(self.fitted) == self.fits:
            raise KeyboardInterrupt
        self.fitted.append(len(records))
        super().fit_for(records, epochs, checkpoint)


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """Dark and bright noise, a folder's pictures all different."""
    folder, draw = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for label, grey in (("dark", 100), ("bright", 150)):
        for patient in range(PATIENTS):
            for number in range(SLICES):
                pixels = draw.normal(grey, 30, (SIZE, SIZE)).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{label}{patient}_{number}.png")
    return folder


@pytest.fixture(scope="module")
def records(images) -> list[ImageRecord]:
    files = sorted(images.iterdir())
    return [record(file.name, file.name[:-7], file.name[:-6], file.read_bytes()) for file in files]


@pytest.fixture(scope="module")
def fold(records):
    return deal_folds(records, 3, seed=1)


@pytest.fixture(scope="module")
def recipe(images, tmp_path_factory):
    """Makes recipes of one small tail on each picture's four quarters; all start alike."""
    folder = tmp_path_factory.mktemp("cache")

    def make(fits: int = 99) -> Watched:
        make_deterministic(3)
        x = features = keras.Input((4,))
        x = keras.layers.BatchNormalization(center=False, scale=False, name=STANDARDISE, trainable=False)(x)
        tail = keras.Model(features, keras.layers.Dense(2)(keras.layers.Dropout(0.2)(x)))
        cache = FeatureExtractor(folder, images, Space(SPEC.preprocessing, "quarters"), quarters)
        config = TrainingConfig(
            seed=1, epochs=9, batch_size=4, learning_rate=0.05, augmentation=AugmentationConfig(views=0)
        )
        return Watched(tail, cache, SPEC, config, fits=fits)

    return make


def quarters(batch: np.ndarray) -> np.ndarray:
    half = SIZE // 2
    return batch[..., 0].reshape(-1, 2, half, 2, half).mean(axis=(2, 4)).reshape(-1, 4)


@pytest.fixture(scope="module")
def validated(recipe, records, fold, tmp_path_factory):
    return cross_validate(recipe(), Folds(records, fold, 2), tmp_path_factory.mktemp("undisturbed"))


def test_each_fold_is_predicted_by_a_model_of_all_others(recipe, records, fold, tmp_path):
    watched = recipe()
    probabilities = cross_validate(watched, Folds(records, fold, 20), tmp_path / "c")
    assert watched.fitted == [len(records) - count for count in np.bincount(fold)]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert [SPEC.classes[index] for index in probabilities.argmax(axis=1)] == [each.label for each in records]


def test_what_a_fold_is_called_changes_the_others_predictions_and_never_its_own(
    recipe, records, fold, validated, tmp_path
):
    other = {"dark": "bright", "bright": "dark"}
    lied = [
        replace(each, label=other[each.label]) if its_fold == 0 else each
        for each, its_fold in zip(records, fold, strict=True)
    ]
    found = cross_validate(recipe(), Folds(lied, fold, 2), tmp_path / "c")
    np.testing.assert_array_equal(found[fold == 0], validated[fold == 0])
    for number in (1, 2):
        assert np.abs(found - validated)[fold == number].max() > 1e-3


def test_every_fold_starts_from_the_tail_as_it_was(recipe, records, fold, validated, tmp_path):
    used = recipe()
    used.fit_for(records, 3, tmp_path / "before.npz")
    np.testing.assert_array_equal(cross_validate(used, Folds(records, fold, 2), tmp_path / "c"), validated)


def test_a_killed_cross_validation_goes_on_and_fits_no_finished_fold_again(recipe, records, fold, validated, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        cross_validate(recipe(fits=2), Folds(records, fold, 2), tmp_path / "c")
    again = recipe()
    found = cross_validate(again, Folds(records, fold, 2), tmp_path / "c")
    assert again.fitted == [np.count_nonzero(fold != 2)]
    np.testing.assert_array_equal(found, validated)


def test_a_fold_killed_while_its_predictions_were_written_is_predicted_again(
    recipe, records, fold, validated, tmp_path
):
    cross_validate(recipe(), Folds(records, fold, 2), tmp_path / "c")
    finished = tmp_path / "c" / "fold1.predicted.npy"
    finished.rename(finished.with_name("fold1.predicted.npy.partial"))
    again = recipe()
    np.testing.assert_array_equal(cross_validate(again, Folds(records, fold, 2), tmp_path / "c"), validated)
    assert len(again.fitted) == 1


def test_features_too_large_for_memory_are_read_by_batch_and_give_the_same(
    recipe, records, fold, validated, tmp_path, monkeypatch
):
    monkeypatch.setattr(recipe_module, "IN_MEMORY", 0)
    np.testing.assert_array_equal(cross_validate(recipe(), Folds(records, fold, 2), tmp_path / "c"), validated)


def test_views_are_drawn_alike_from_memory_and_from_the_store(recipe, records, tmp_path, monkeypatch):
    def fitted(name: str) -> np.ndarray:
        with_views = recipe()
        with_views.config = with_views.config.model_copy(update={"augmentation": AugmentationConfig(views=3)})
        with_views.fit_for(records, 2, tmp_path / f"{name}.npz")
        return with_views.predict(records)

    from_memory = fitted("memory")
    monkeypatch.setattr(recipe_module, "IN_MEMORY", 0)
    np.testing.assert_array_equal(fitted("store"), from_memory)
