"""The gate: a champion falls only to what is surely better on the same images, calibrated, and honestly trained."""

from typing import Any

import numpy as np
import pytest

from cnnClassifier.config.types import RegistrationConfig
from cnnClassifier.gate import COMMON, Decision, Rival, compare_with_champion, decide_promotion, with_way_round
from cnnClassifier.metrics.predictions import Predictions

CLASSES = ("disc", "square", "star")
GROUPS, SLICES = 40, 3
IMAGES = GROUPS * SLICES
SATISFIED = {"policy": {"satisfied": True, "broken": []}}


def bars(**changes: Any) -> RegistrationConfig:
    settings = {"name": "shapes", "description": "", "metric": "grouped_cv.balanced_accuracy", **changes}
    return RegistrationConfig(**settings)


def calibrated(ece: float = 0.02) -> dict[str, Any]:
    return {"calibration": {"ece": {"before": 0.2, "debiased": ece}}}


def predictions(wrong: int = 0, classes: tuple[str, ...] = CLASSES, images: range = range(IMAGES)) -> Predictions:
    """`wrong` of the images, spread over the groups, are taken for the next class; `images` names those there are."""
    number = np.arange(IMAGES)
    label = number // SLICES % len(CLASSES)
    # 49 has no divisor in common with the number of images: it visits each once.
    mistaken = np.isin(number, number[:wrong] * 49 % IMAGES)
    answers = np.eye(3)[(label + mistaken) % 3] * 0.7 + 0.1
    rows = list(images)
    columns = [CLASSES.index(name) for name in classes]
    return Predictions(
        ids=[f"id{row}" for row in rows],
        sha256=[f"sha{row}" for row in rows],
        paths=[f"{row}.png" for row in rows],
        groups=np.array([f"g{row // SLICES}" for row in rows]),
        labels=[CLASSES[label[row]] for row in rows],
        truth=np.array([classes.index(CLASSES[label[row]]) for row in rows]),
        folds=None,
        probabilities=answers[rows][:, columns],
        classes=classes,
    )


def judge(
    rival: Rival | None, score: float = 0.9, metrics: Any = None, audit: Any = SATISFIED, **changes: Any
) -> Decision:
    return decide_promotion(score, rival, calibrated() if metrics is None else metrics, audit, bars(**changes))


# --- better -------------------------------------------------------------------------------


def test_the_first_model_becomes_champion():
    decision = judge(None)
    assert decision.promote
    assert "there was no champion before" in decision.reason
    assert decision.numbers["score"] == 0.9


def test_a_champion_falls_to_a_clearly_better_model():
    decision = judge(compare_with_champion(3, predictions(wrong=6), predictions(wrong=40), bars()))
    assert decision.promote
    assert "0.9499 against 0.6667 of version 3: a gain of +0.2833" in decision.reason
    assert decision.numbers["low"] > 0.1
    assert decision.numbers["probability_better"] > 0.99


def test_a_gain_that_chance_may_explain_moves_nothing():
    decision = judge(compare_with_champion(3, predictions(wrong=10), predictions(wrong=11), bars()))
    assert not decision.promote
    assert decision.numbers["gain"] > 0 >= decision.numbers["low"]
    assert "not more than the margin" in decision.reason


def test_equal_predictions_leave_the_champion_where_it_is():
    decision = judge(compare_with_champion(3, predictions(wrong=9), predictions(wrong=9), bars()))
    assert not decision.promote
    assert decision.numbers["gain"] == decision.numbers["low"] == 0
    assert decision.numbers["probability_better"] == 0.5


def test_the_same_gain_passes_a_lower_bar_of_confidence_but_not_a_wide_margin():
    pair = predictions(wrong=6), predictions(wrong=12)
    assert judge(compare_with_champion(3, *pair, bars(confidence=0.8))).promote
    assert not judge(compare_with_champion(3, *pair, bars(confidence=0.8)), margin=0.2).promote


def test_a_worse_model_stays_challenger():
    assert not judge(compare_with_champion(3, predictions(wrong=30), predictions(wrong=6), bars())).promote


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_never_wins(score):
    decision = judge(None, score)
    assert not decision.promote
    assert "score" not in decision.numbers


# --- comparable ---------------------------------------------------------------------------


def test_images_are_matched_by_content_whatever_their_order():
    backwards = predictions(wrong=40, images=range(IMAGES - 1, -1, -1))
    assert compare_with_champion(3, predictions(wrong=6), backwards, bars()) == compare_with_champion(
        3, predictions(wrong=6), predictions(40), bars()
    )


def test_classes_may_be_in_another_order():
    turned = predictions(wrong=40, classes=("star", "disc", "square"))
    assert compare_with_champion(3, predictions(6), turned, bars()) == compare_with_champion(
        3, predictions(6), predictions(40), bars()
    )


def test_models_of_other_classes_are_not_compared():
    champion = predictions(classes=CLASSES)
    other = Predictions(**{**vars(champion), "classes": ("disc", "square", "ring")})
    decision = judge(compare_with_champion(3, predictions(), other, bars()))
    assert not decision.promote
    assert "cannot be compared with champion version 3" in decision.reason
    assert "disc, square, ring" in decision.reason


@pytest.mark.parametrize(("common", "comparable"), [(int(COMMON * IMAGES), True), (int(COMMON * IMAGES) - 1, False)])
def test_too_few_common_images_are_not_compared(common, comparable):
    rival = compare_with_champion(3, predictions(), predictions(wrong=40, images=range(common)), bars())
    assert (rival.comparison is not None) is comparable
    assert comparable or f"{common} of the {IMAGES} images" in rival.obstacle


def test_images_that_the_metric_is_not_about_do_not_count():
    half = range(IMAGES // 2)
    left_out = {f"id{row}" for row in range(IMAGES // 2, IMAGES)}
    of_half = compare_with_champion(3, predictions(wrong=6), predictions(wrong=40), bars(), left_out)
    assert of_half == compare_with_champion(
        3, predictions(wrong=6, images=half), predictions(wrong=40, images=half), bars()
    )
    assert of_half != compare_with_champion(3, predictions(wrong=6), predictions(wrong=40), bars())


def test_nothing_in_common_is_told_and_not_divided_by():
    everything = {f"id{row}" for row in range(IMAGES)}
    assert compare_with_champion(3, predictions(), predictions(), bars(), everything).comparison is None


# --- calibrated, and the audit's policy -----------------------------------------------------


@pytest.mark.parametrize("rival", [None, compare_with_champion(3, predictions(wrong=6), predictions(wrong=40), bars())])
def test_a_model_above_the_bar_of_calibration_stays_challenger(rival):
    decision = judge(rival, metrics=calibrated(0.081))
    assert not decision.promote
    assert decision.reason.startswith("its calibration error, less what chance adds, is 0.081, above the bar of 0.050")
    assert decision.numbers["ece"] == 0.081


def test_calibration_on_the_bar_is_good_enough():
    assert judge(None, metrics=calibrated(0.05)).promote


def test_calibration_that_was_not_measured_is_not_good_enough():
    decision = judge(None, metrics={})
    assert not decision.promote
    assert "calibration.ece.debiased" in decision.reason


def test_a_broken_policy_of_the_audit_is_told_with_what_broke_it():
    audit = {"policy": {"satisfied": False, "broken": ["4 training images are copies of test images"]}}
    decision = judge(None, audit=audit)
    assert not decision.promote
    assert "4 training images are copies of test images" in decision.reason
    assert decision.numbers["policy_broken"] == 1


def test_an_audit_that_says_nothing_of_its_policy_does_not_pass():
    assert not judge(None, audit={}).promote


def test_every_obstacle_is_told():
    worse = compare_with_champion(3, predictions(wrong=30), predictions(wrong=6), bars())
    reason = judge(worse, metrics=calibrated(0.2), audit={}).reason
    assert "not more than the margin" in reason
    assert "above the bar" in reason
    assert "policy is broken" in reason


def test_the_way_round_is_a_command_that_names_what_is_not_the_active_model():
    assert with_way_round("not better", False, 7).startswith('not better. `python main.py promote 7 --because "..."`')
    assert "promote 7 --name both --because" in with_way_round("not better", False, 7, "both")
    assert with_way_round("better", True, 7) == "better"
