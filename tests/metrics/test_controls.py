"""Rules that know nothing of medicine: right by the reference, blind to the fold they answer, and told of in words."""

from functools import partial

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier
from synthetic import CLASSES, predictions

from cnnClassifier.errors import DataError
from cnnClassifier.metrics import controls
from cnnClassifier.metrics.controls import grouped, nearest_neighbour, shortcut, verdicts
from cnnClassifier.metrics.report import report


def described(seed=0, images=200, size=12, help_of_label=0.0):
    """Vectors, labels, folds; four images a group that look alike, and something of the label if wanted."""
    draw = np.random.default_rng(seed)
    groups = np.arange(images) // 4
    labels = draw.integers(0, 4, images // 4)[groups]
    vectors = draw.normal(size=(images // 4, size))[groups] + 0.05 * draw.normal(size=(images, size))
    vectors[:, 0] += help_of_label * labels
    return vectors, labels, groups % 5


def test_the_nearest_neighbour_is_scikit_learns_by_cosine_whatever_the_block(monkeypatch):
    vectors, labels, _ = described(help_of_label=1.0)
    lengths = np.random.default_rng(1).uniform(0.1, 10, (200, 1))
    train, query = (vectors * lengths)[:120], (vectors * lengths)[120:]
    reference = KNeighborsClassifier(1, metric="cosine").fit(train, labels[:120]).predict(query)
    found = nearest_neighbour(train, labels[:120], query, 4)
    np.testing.assert_array_equal(found, np.eye(4)[reference])
    monkeypatch.setattr(controls, "CELLS_AT_A_TIME", 1000)
    np.testing.assert_array_equal(nearest_neighbour(train, labels[:120], query, 4), found)


def test_a_copy_is_recognised_and_a_blank_vector_does_no_harm():
    vectors, labels, _ = described()
    vectors[0] = 0
    found = nearest_neighbour(vectors, labels, vectors * 3, 4)
    np.testing.assert_array_equal(found[1:].argmax(axis=1), labels[1:])
    assert np.isfinite(found).all()


def test_what_looks_right_with_an_image_of_the_same_patient_is_guessing_without():
    vectors, labels, folds = described(images=800)
    by_image = grouped(nearest_neighbour, vectors, labels, np.arange(800) % 5, 4)
    by_group = grouped(nearest_neighbour, vectors, labels, folds, 4)
    assert (by_image.argmax(axis=1) == labels).mean() > 0.99
    assert (by_group.argmax(axis=1) == labels).mean() < 0.4


def test_a_grouped_control_never_learns_from_the_fold_it_answers():
    vectors, labels, folds = described()
    seen = []

    def remember(train, train_labels, query, classes):
        seen.append((train, query))
        return np.full((len(query), classes), 1 / classes)

    grouped(remember, vectors, labels, folds, 4)
    assert len(seen) == 5
    for train, query in seen:
        assert len(train) + len(query) == len(vectors)
        assert not {row.tobytes() for row in train} & {row.tobytes() for row in query}


def test_one_fold_is_refused():
    vectors, labels, folds = described()
    with pytest.raises(DataError, match="two folds or more"):
        grouped(nearest_neighbour, vectors, labels, folds * 0, 4)


def test_the_shortcut_is_found_when_it_is_there_and_not_when_it_is_not(monkeypatch):
    monkeypatch.setattr(controls, "TREES", 50)
    for help_of_label, low, high in ((3.0, 0.7, 1.0), (0.0, 0.0, 0.45)):
        facts, labels, folds = described(images=400, size=4, help_of_label=help_of_label)
        found = grouped(partial(shortcut, seed=0), facts, labels, folds, 4)
        assert low <= (found.argmax(axis=1) == labels).mean() <= high


def test_the_shortcut_gives_the_same_probabilities_for_the_same_seed_and_a_column_to_every_class():
    facts, labels, _ = described(size=4)
    present = labels != 2
    found = [shortcut(facts[present], labels[present], facts, 4, seed=seed) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])
    np.testing.assert_allclose(found[0].sum(axis=1), 1)
    assert (found[0][:, 2] == 0).all()


def test_a_control_is_reported_on_as_a_model_is():
    _, _, groups, _ = predictions(images=200)
    vectors, labels, folds = described()
    found = grouped(nearest_neighbour, vectors, labels, folds, 4)
    content = report(labels, found, groups, CLASSES, resamples=50, confidence=0.9, seed=0)
    assert content["accuracy"]["value"] == pytest.approx((found.argmax(axis=1) == labels).mean(), abs=1e-6)


# --- verdicts -----------------------------------------------------------------------------


def results(nearest, blind, model=(0.946, 0.920, 0.971)):
    value, low, high = model
    return {
        "published": {"balanced_accuracy": {"value": value, "low": low, "high": high}},
        "controls": {
            "published": {
                "nearest_neighbour": {"balanced_accuracy": {"value": nearest}},
                "shortcut": {"balanced_accuracy": {"value": blind}},
            }
        },
    }


def test_a_control_within_the_interval_is_told_in_words():
    assert verdicts(results(nearest=0.940, blind=0.400)) == [
        "published: the 1-nearest-neighbour rule (balanced accuracy 0.940) cannot be told from the model (0.946, 0.920 "
        "to 0.971): this number measures how similar these images are to the training images as much as what the model "
        "learned."
    ]


def test_a_control_above_the_interval_is_better_and_one_at_its_lower_end_is_near_enough():
    nearest, blind = verdicts(results(nearest=0.980, blind=0.920))
    assert "is better than the model" in nearest
    assert "cannot be told from the model" in blind
    assert "without looking at what the pictures show" in blind


def test_protocols_of_the_same_images_are_told_in_one_sentence():
    found = results(nearest=0.940, blind=0.400)
    for part in (found, found["controls"]):
        part["without_exact_copies"] = part["published"]
    (sentence,) = verdicts(found)
    assert sentence.startswith("published, without exact copies: the 1-nearest-neighbour rule")


def test_without_an_interval_a_control_as_good_as_the_model_is_told():
    nearest, blind = verdicts(results(nearest=0.950, blind=0.946, model=(0.946, None, None)))
    assert "(balanced accuracy 0.950) is better than the model (0.946, of no known interval)" in nearest
    assert "cannot be told from the model (0.946" in blind
    assert verdicts(results(nearest=0.945, blind=0.4, model=(0.946, None, None))) == []


def test_controls_below_the_interval_are_not_worth_a_word():
    assert verdicts(results(nearest=0.919, blind=0.25)) == []


def test_what_cannot_be_said_or_was_not_measured_gives_no_verdict():
    assert verdicts({"published": {}}) == []
    assert verdicts(results(nearest=None, blind=0.1)) == []
    assert verdicts(results(nearest=0.9, blind=0.9, model=(None, None, None))) == []
    alone = results(nearest=0.99, blind=0.99)
    del alone["controls"]["published"]["shortcut"]
    assert len(verdicts(alone | {"grouped_cv": alone["published"]})) == 1


def test_verdicts_kept_beside_the_controls_do_no_harm():
    found = results(nearest=0.940, blind=0.400)
    found["controls"]["verdicts"] = verdicts(found)
    assert verdicts(found) == found["controls"]["verdicts"]
