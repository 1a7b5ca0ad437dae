"""What users would be told of images that no model had seen: counted by hand."""

import numpy as np
import pytest

from cnnClassifier.decision import ConformalRule, DecisionSpec, OperatingPoint, OutlierRule
from cnnClassifier.metrics.answers import answers_report
from cnnClassifier.metrics.predictions import Predictions

CLASSES = ("ill", "well")
# The probability of "ill", and whether it is so.
IMAGES = [(0.9, "ill"), (0.6, "ill"), (0.4, "ill"), (0.4, "well"), (0.1, "well"), (0.05, "ill")]
POINT = OperatingPoint(positive=("ill",), threshold=0.3)


def out_of_fold(images=IMAGES) -> Predictions:
    ill, labels = zip(*images, strict=True)
    names = [str(number) for number in range(len(images))]
    return Predictions(
        ids=names,
        sha256=names,
        paths=names,
        groups=np.array(names),
        labels=list(labels),
        truth=np.array([CLASSES.index(label) for label in labels]),
        folds=np.arange(len(images)) % 2,
        probabilities=np.column_stack([ill, 1 - np.array(ill)]),
        classes=CLASSES,
    )


def test_without_rules_every_image_gets_its_most_probable_class():
    found = answers_report(out_of_fold(), DecisionSpec())
    right = pytest.approx(4 / 6, abs=1e-6)
    assert found == {"answered": 1, "abstained": 0, "accuracy_of_answers": right, "changed_by_threshold": 0}


def test_answers_that_the_threshold_changed_are_counted():
    found = answers_report(out_of_fold(), DecisionSpec(operating=POINT))
    assert found["changed_by_threshold"] == pytest.approx(2 / 6, abs=1e-6)
    assert found["accuracy_of_answers"] == pytest.approx(4 / 6, abs=1e-6)  # one is right now, and one wrong


def test_what_is_referred_to_a_person_is_no_answer_and_no_change():
    rule = ConformalRule(coverage=0.9, quantile=0.65)  # both classes from .35 to .65
    found = answers_report(out_of_fold(), DecisionSpec(operating=POINT, conformal=rule, abstain="undecided"))
    assert found["answered"] == found["abstained"] == 0.5
    assert found["accuracy_of_answers"] == pytest.approx(2 / 3, abs=1e-6)
    assert found["changed_by_threshold"] == 0


def test_of_no_answers_there_is_no_accuracy():
    rule = ConformalRule(coverage=0.9, quantile=0.99)
    found = answers_report(
        out_of_fold([(0.5, "ill"), (0.4, "well")]), DecisionSpec(conformal=rule, abstain="ambiguous")
    )
    assert found == {"answered": 0, "abstained": 1, "accuracy_of_answers": None, "changed_by_threshold": 0}


def test_the_gate_against_other_kinds_is_not_asked():
    gated = DecisionSpec(outliers=OutlierRule(threshold=0.0), operating=POINT)
    assert answers_report(out_of_fold(), gated) == answers_report(out_of_fold(), DecisionSpec(operating=POINT))


def test_probabilities_are_calibrated_before_a_threshold_is_asked():
    cold = DecisionSpec(temperature=0.5, operating=POINT)  # .4 becomes .31, and still reaches .3
    colder = DecisionSpec(temperature=0.4, operating=POINT)  # .27 does not
    assert answers_report(out_of_fold(), cold)["changed_by_threshold"] > 0
    assert answers_report(out_of_fold(), colder)["changed_by_threshold"] == 0
