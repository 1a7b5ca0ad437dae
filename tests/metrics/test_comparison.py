"""A paired bootstrap over groups: the same draws for both, as a naive loop has them, and as sure as it says."""

import numpy as np
import pytest
from sklearn import metrics as sk
from synthetic import predictions, softmax

from cnnClassifier.errors import DataError
from cnnClassifier.metrics.classification import OVERALL, bootstrap_weights
from cnnClassifier.metrics.comparison import Comparison, compare
from cnnClassifier.metrics.holm import holm

SETTINGS = {"resamples": 200, "confidence": 0.9, "seed": 3}


def two_models(seed=0, images=200, noise=1.0):
    """Truth, a model, the same with noise, groups."""
    truth, probabilities, groups, _ = predictions(seed, images=images)
    worse = np.log(probabilities) + noise * np.random.default_rng(seed + 1000).normal(size=probabilities.shape)
    return truth, probabilities, softmax(worse), groups


@pytest.mark.parametrize(
    ("metric", "reference"),
    [
        ("balanced_accuracy", lambda truth, p: sk.balanced_accuracy_score(truth, p.argmax(axis=1))),
        ("loss", lambda truth, p: -sk.log_loss(truth, p)),
    ],
)
def test_gain_and_limits_are_those_of_a_naive_loop_over_the_same_draws(metric, reference):
    truth, better, worse, groups = two_models()
    gains = []
    for weights in bootstrap_weights(groups, 200, seed=3):
        drawn = np.repeat(np.arange(len(truth)), weights.astype(int))
        gains.append(reference(truth[drawn], better[drawn]) - reference(truth[drawn], worse[drawn]))
    found = compare(truth, better, worse, groups, metric, **SETTINGS)
    assert found.gain == pytest.approx(reference(truth, better) - reference(truth, worse))
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(gains, [10, 90])))
    assert found.probability_better == pytest.approx(np.mean(np.array(gains) > 0))


@pytest.mark.parametrize("metric", OVERALL)
def test_the_better_model_gains_by_every_metric_and_the_other_loses_as_much(metric):
    truth, better, worse, groups = two_models(images=800)
    forth = compare(truth, better, worse, groups, metric, **SETTINGS)
    back = compare(truth, worse, better, groups, metric, **SETTINGS)
    assert forth.gain > 0
    assert 0 < forth.low < forth.gain < forth.high
    assert (back.gain, back.low, back.high) == pytest.approx((-forth.gain, -forth.high, -forth.low))
    assert back.probability_better == pytest.approx(1 - forth.probability_better)


def test_a_model_against_itself_gains_nothing_and_is_better_half_the_time():
    truth, model, _, groups = two_models()
    found = compare(truth, model, model, groups, "accuracy", **SETTINGS)
    assert found == Comparison(found.champion, found.champion, 0, 0, 0, 0.5, SETTINGS["resamples"])


def few_of_each_class(classes: int):
    """Two groups of a class, one image each, and two models, of which the second is always wrong."""
    truth = np.arange(2 * classes) % classes
    right, wrong = np.eye(classes)[truth], np.eye(classes)[(truth + 1) % classes]
    return truth, right, wrong, np.arange(2 * classes).astype(str)


def test_draws_that_lost_a_class_do_not_count_as_draws():
    found = compare(*few_of_each_class(6), "balanced_accuracy", **SETTINGS)
    assert 0 < found.draws < SETTINGS["resamples"] / 2
    assert (found.gain, found.probability_better) == (1, 1)
    assert compare(*few_of_each_class(6), "accuracy", **SETTINGS).draws == SETTINGS["resamples"]


def test_where_every_draw_loses_a_class_it_is_said():
    with pytest.raises(DataError, match="none of 200 draws of the groups has every class"):
        compare(*few_of_each_class(60), "balanced_accuracy", **SETTINGS)


def test_more_confidence_promises_less():
    truth, better, worse, groups = two_models()
    sure = compare(truth, better, worse, groups, resamples=200, confidence=0.99, seed=3)
    assert sure.low < compare(truth, better, worse, groups, **SETTINGS).low


def test_models_that_err_alike_are_told_apart_more_surely_than_models_that_do_not():
    truth, better, alike, groups = two_models(noise=0.2, images=800)
    _, _, unlike, _ = two_models(noise=3.0, images=800)
    near, far = (compare(truth, better, other, groups, "loss", **SETTINGS) for other in (alike, unlike))
    assert near.high - near.low < 0.3 * (far.high - far.low)


def test_groups_are_drawn_whole():
    truth, better, worse, _ = two_models(images=150)
    alike = [np.repeat(each, 8, axis=0) for each in (truth, better, worse)]
    by_group = compare(*alike, np.repeat(np.arange(150), 8).astype(str), "loss", **SETTINGS)
    by_image = compare(*alike, np.arange(1200).astype(str), "loss", **SETTINGS)
    assert (by_group.high - by_group.low) > 2 * (by_image.high - by_image.low)


def test_a_challenger_that_is_no_better_seldom_seems_so():
    wins = 0
    for seed in range(200):
        truth, model, _, groups = two_models(seed, images=160)
        draw = np.random.default_rng(seed + 1000)  # another than drew the predictions
        one, other = (softmax(np.log(model) + draw.normal(size=model.shape)) for _ in range(2))
        wins += compare(truth, one, other, groups, "accuracy", resamples=100, confidence=0.9, seed=seed).low > 0
    assert 6 <= wins <= 36  # 20 expected of 200 at a confidence of .9


def test_what_cannot_be_compared_is_told():
    truth, better, worse, groups = two_models()
    with pytest.raises(DataError, match=r"unknown metric.*Received: 'recall'"):
        compare(truth, better, worse, groups, "recall", **SETTINGS)
    with pytest.raises(DataError, match="predict the same images"):
        compare(truth, better, worse[:-1], groups, **SETTINGS)
    with pytest.raises(DataError, match="no images"):
        compare(truth[:0], better[:0], worse[:0], groups[:0], **SETTINGS)
    with pytest.raises(DataError, match="macro_roc_auc cannot be said"):
        compare(truth * 0, better, worse, groups, "macro_roc_auc", **SETTINGS)


def test_holm_is_as_in_the_paper():
    # 4 x .005, 3 x .01, then never below what came before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([0.04, 0.04]) == [0.08, 0.08]
    assert holm([0.04]) == [0.04]
    assert holm([]) == []
