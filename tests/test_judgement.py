"""Stricter protocols leave out exactly the copies; model and controls are judged on the same images in one order."""

import numpy as np
import pytest

from cnnClassifier.audit.facts import Facts
from cnnClassifier.audit.pairs import pair_up
from cnnClassifier.datasets.manifest import ImageRecord
from cnnClassifier.errors import DataError
from cnnClassifier.features.extraction import FeatureExtractor
from cnnClassifier.judgement import judge, truth_of, without_copies
from cnnClassifier.metrics.predictions import Predictions
from cnnClassifier.metrics.protocols import Judged

CLASSES = ("disc", "square")
TRAINED, TESTED = 24, 10


def record(number: int, split: str) -> ImageRecord:
    name = f"{split}{number:02}"
    mode = "RGB" if number % 3 == 0 else "L"
    return ImageRecord(
        name, f"{name}.png", CLASSES[number % 2], split, f"g{number // 4}", name, name, 9, 9, mode, "PNG", 9
    )


TRAIN = [record(number, "train") for number in range(TRAINED)]
TEST = [record(number, "test") for number in range(TESTED)]
VALID = [record(0, "valid")]


def judged() -> Judged:
    draw = np.random.default_rng(0)
    right = draw.dirichlet([1, 1], TESTED)
    names = np.array([each.id for each in TEST])
    return Judged(truth_of(TEST, CLASSES), names, names, right, {"rule": right[:, ::-1]})


def left_out(protocols: dict[str, Judged], name: str) -> set[str]:
    return {each.id for each in TEST} - set(protocols[name].groups)


def test_each_protocol_leaves_out_exactly_its_kinds_of_copy():
    pairs = [
        pair_up("exact", "test03.png", "train05.png"),
        pair_up("exact", "test04.png", "valid00.png"),
        pair_up("near", "test06.png", "train01.png", 0.95),
        pair_up("exact", "test07.png", "test08.png"),  # within test
        pair_up("near", "train01.png", "train02.png", 0.95),  # within training
    ]
    found = without_copies(judged(), TEST, [*TRAIN, *VALID, *TEST], pairs)
    assert left_out(found, "without_exact_copies") == {"test03", "test04"}
    assert left_out(found, "deduplicated") == {"test03", "test04", "test06"}


def test_the_twin_of_a_near_copy_is_left_out_with_it():
    pairs = [pair_up("near", "test07.png", "train01.png", 0.95), pair_up("exact", "test07.png", "test08.png")]
    found = without_copies(judged(), TEST, [*TRAIN, *TEST], pairs)
    assert left_out(found, "without_exact_copies") == set()
    assert left_out(found, "deduplicated") == {"test07", "test08"}


def test_what_stays_is_what_was_published_row_for_row():
    published = judged()
    pairs = [pair_up("exact", "test03.png", "train05.png")]
    kept = without_copies(published, TEST, [*TRAIN, *TEST], pairs)["deduplicated"]
    rows = np.arange(TESTED) != 3
    np.testing.assert_array_equal(kept.model, published.model[rows])
    np.testing.assert_array_equal(kept.controls["rule"], published.controls["rule"][rows])
    np.testing.assert_array_equal(kept.truth, published.truth[rows])


def test_a_protocol_without_images_is_left_out():
    near = [pair_up("near", each.path, "train00.png", 0.95) for each in TEST]
    exact = [pair_up("exact", each.path, "train00.png") for each in TEST]
    records = [*TRAIN, *TEST]
    assert set(without_copies(judged(), TEST, records, near)) == {"without_exact_copies"}
    assert without_copies(judged(), TEST, records, exact) == {}


# --- judging --------------------------------------------------------------------------------


class Known(FeatureExtractor):
    """Features that are known beforehand, by an image's id."""

    def __init__(self, vectors: dict[str, np.ndarray]) -> None:
        self.vectors = vectors

    def ensure(self, records, _views):
        assert all(record.id in self.vectors for record in records)

    def read(self, records, _view):
        return np.stack([self.vectors[record.id] for record in records])


def facts_of(records: list[ImageRecord], help_of_label: float) -> Facts:
    """Facts of which only one block may tell the label, listed in another order than the records."""
    shuffled = [records[row] for row in np.random.default_rng(1).permutation(len(records))]
    noise = np.random.default_rng(2).normal(size=(len(records), 3))
    told = help_of_label * truth_of(shuffled, CLASSES)[:, np.newaxis]
    names = ("file.width", "border.frame_mean", "histogram.0", "picture.brightness")
    values = np.hstack([noise, told if help_of_label else noise[:, :1]]).astype(np.float32)
    ids = np.array([each.id for each in shuffled])
    return Facts(ids, names, values, np.zeros(len(records), np.uint64))


@pytest.fixture
def features() -> Known:
    """Every image's vector points where its class lies."""
    draw = np.random.default_rng(0)
    return Known(
        {
            each.id: (10 * np.eye(3)[CLASSES.index(each.label)] + draw.normal(size=3)).astype(np.float32)
            for each in [*TRAIN, *TEST]
        }
    )


def out_of_fold() -> Predictions:
    names = [each.id for each in TRAIN]
    probabilities = np.random.default_rng(3).dirichlet([1, 1], TRAINED)
    return Predictions(
        ids=names,
        sha256=names,
        paths=[each.path for each in TRAIN],
        groups=np.array([each.group for each in TRAIN]),
        labels=[each.label for each in TRAIN],
        truth=truth_of(TRAIN, CLASSES),
        folds=np.arange(TRAINED) // 4 % 3,
        probabilities=probabilities,
        classes=CLASSES,
    )


def test_cross_validation_and_test_split_are_judged_with_their_controls(features):
    table, probabilities = out_of_fold(), np.random.default_rng(4).dirichlet([1, 1], TESTED)
    by_groups, published = judge(features, facts_of([*TRAIN, *TEST], 0), TRAIN, table, TEST, probabilities, seed=1)
    np.testing.assert_array_equal(by_groups.model, table.probabilities)
    np.testing.assert_array_equal(published.model, probabilities)
    np.testing.assert_array_equal(published.truth, [0, 1] * 5)
    assert published.groups.tolist() == [each.group for each in TEST]
    assert published.sources[:2].tolist() == ["PNG RGB", "PNG L"]
    for images in (by_groups, published):
        assert set(images.controls) == {"nearest_neighbour", "shortcut"}
        np.testing.assert_array_equal(images.controls["nearest_neighbour"].argmax(axis=1), images.truth)


def test_the_shortcut_is_never_told_what_a_picture_shows(features):
    given_away = facts_of([*TRAIN, *TEST], 5)
    by_groups, _ = judge(features, given_away, TRAIN, out_of_fold(), TEST, np.full((TESTED, 2), 0.5), seed=1)
    assert (by_groups.controls["shortcut"].argmax(axis=1) == by_groups.truth).mean() < 0.8


def test_an_image_without_facts_is_an_error_that_says_which_stage_to_run(features):
    with pytest.raises(DataError, match=r"test09\.png: no facts of this image; run `python main\.py data_audit` again"):
        judge(
            features, facts_of([*TRAIN, *TEST[:-1]], 0), TRAIN, out_of_fold(), TEST, np.full((TESTED, 2), 0.5), seed=1
        )
