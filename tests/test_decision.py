"""From probabilities to an answer, rule by rule and in their order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError

from cnnClassifier.decision import ConformalRule, DecisionSpec, OperatingPoint, OutlierRule, calibrate, decide

CLASSES = ("a", "b", "c")
DISEASE = OperatingPoint(positive=("a", "b"), threshold=0.3)
SETS = ConformalRule(coverage=0.9, quantile=0.75)
PROBABILITIES = arrays(np.float64, (4, 3), elements=st.floats(1e-6, 1)).map(lambda p: p / p.sum(axis=1, keepdims=True))


def answer(*probabilities, distance=None, **rules):
    return decide(np.array(probabilities, dtype=np.float32), DecisionSpec(**rules), CLASSES, distance)


@given(PROBABILITIES, st.floats(0.1, 10))
def test_calibration_is_dividing_the_logits(probabilities, temperature):
    powers = np.exp(np.log(probabilities) / temperature)
    np.testing.assert_allclose(calibrate(probabilities, temperature), powers / powers.sum(axis=1, keepdims=True))


@given(PROBABILITIES, st.floats(0.1, 10))
def test_calibration_keeps_the_order_and_is_undone_by_its_inverse(probabilities, temperature):
    calibrated = calibrate(probabilities, temperature)
    np.testing.assert_allclose(calibrate(calibrated, 1 / temperature), probabilities, rtol=1e-6, atol=1e-9)
    assert (np.take_along_axis(calibrated, probabilities.argsort(axis=1), axis=1).round(12)).tolist() == (
        np.sort(calibrated, axis=1).round(12).tolist()
    )


@pytest.mark.parametrize("temperature", [0.01, 1.0, 100.0])
def test_calibration_is_safe_for_zeros_and_tiny_numbers(temperature):
    calibrated = calibrate(np.array([[1, 0, 0], [0.5, 0.5, 0], [1 - 1e-30, 1e-30, 0]]), temperature)
    assert calibrated[:2].tolist() == [[1, 0, 0], [0.5, 0.5, 0]]
    np.testing.assert_allclose(calibrated.sum(axis=1), 1)


def test_without_rules_the_most_probable_class_is_the_answer():
    plain = answer(0.2, 0.7, 0.1)
    assert (plain.state, plain.label, plain.prediction_set, plain.changes) == ("answer", "b", ("b",), ())
    assert plain.confidence == plain.probabilities["b"] == pytest.approx(0.7)
    assert tuple(plain.probabilities) == CLASSES


def test_confidence_and_probabilities_are_calibrated():
    unsure = answer(0.2, 0.7, 0.1, temperature=2)
    expected = np.sqrt([0.2, 0.7, 0.1]) / np.sqrt([0.2, 0.7, 0.1]).sum()
    assert list(unsure.probabilities.values()) == pytest.approx(expected.tolist())
    assert unsure.confidence == pytest.approx(expected[1])


def test_positive_classes_that_reach_the_threshold_together_are_answered():
    raised = answer(0.14, 0.18, 0.68, operating=DISEASE)
    assert (raised.label, raised.confidence) == ("b", pytest.approx(0.18))
    assert raised.changes == (
        "answered b rather than c: the classes a, b together reach 0.32, and the threshold is 0.3",
    )
    assert raised.prediction_set == ("c", "b")


def test_below_the_threshold_another_class_is_answered():
    strict = OperatingPoint(positive=("a",), threshold=0.6)
    lowered = answer(0.5, 0.3, 0.2, operating=strict)
    assert lowered.label == "b"
    assert lowered.changes == ("answered b rather than a: the class a reaches 0.5, and the threshold is 0.6",)


@pytest.mark.parametrize(("share", "label"), [(0.29, "c"), (0.31, "b")])
def test_an_answer_on_its_side_of_the_threshold_is_left_alone(share, label):
    kept = answer(0, share, 1 - share, operating=DISEASE)
    assert kept.label == label
    assert bool(kept.changes) == (label == "b")
    assert answer(0.9, 0.05, 0.05, operating=DISEASE).changes == ()


def test_the_set_holds_every_class_probable_enough_the_most_probable_first():
    assert answer(0.3, 0.6, 0.1, conformal=SETS).prediction_set == ("b", "a")
    assert answer(0.1, 0.8, 0.1, conformal=SETS).prediction_set == ("b",)


def test_the_set_is_never_empty():
    narrow = ConformalRule(coverage=0.9, quantile=0.1)
    assert answer(0.4, 0.3, 0.3, conformal=narrow).prediction_set == ("a",)


@pytest.mark.parametrize(
    ("rule", "probabilities", "state"),
    [
        ("never", (0.4, 0.3, 0.3), "answer"),
        ("ambiguous", (0.5, 0.5, 0.0), "abstained"),
        ("ambiguous", (0.9, 0.1, 0.0), "answer"),
        ("undecided", (0.5, 0.5, 0.0), "answer"),  # both positive: it is disease either way
        ("undecided", (0.5, 0.0, 0.5), "abstained"),
    ],
)
def test_abstaining_refers_what_the_set_leaves_open(rule, probabilities, state):
    assert answer(*probabilities, operating=DISEASE, conformal=SETS, abstain=rule).state == state


def test_an_abstention_has_no_label_and_says_what_the_image_may_be():
    open_case = answer(0.3, 0.36, 0.34, operating=DISEASE, conformal=SETS, abstain="undecided")
    assert open_case.label is None
    assert open_case.confidence == pytest.approx(0.36)
    assert open_case.changes == ("no answer: the image may be b, c or a",)


def test_a_distant_image_is_refused_whatever_its_probabilities():
    far = answer(0.98, 0.01, 0.01, distance=1.934, outliers=OutlierRule(threshold=1.2), operating=DISEASE)
    assert (far.state, far.label, far.prediction_set) == ("refused", None, ("a",))
    assert far.changes == ("refused: the image differs from all training images (distance 1.93, limit 1.20)",)
    assert answer(0.98, 0.01, 0.01, distance=1.2, outliers=OutlierRule(threshold=1.2)).state == "answer"


def test_no_image_passes_the_gate_unmeasured():
    assert answer(1, 0, 0, distance=float("nan"), outliers=OutlierRule(threshold=1.2)).state == "refused"
    with pytest.raises(ValueError, match="needs the image's distance"):
        answer(1, 0, 0, outliers=OutlierRule(threshold=1.2))


@pytest.mark.parametrize(
    "rules", [{"abstain": "ambiguous"}, {"abstain": "undecided", "conformal": SETS}, {"temperature": 0}]
)
def test_rules_that_cannot_work_are_no_spec(rules):
    with pytest.raises(ValidationError):
        DecisionSpec(**rules)
