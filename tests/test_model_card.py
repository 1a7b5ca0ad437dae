"""The model card: says what settings, audit and metrics say, and leaves out what they do not."""

import copy
from typing import Any

import numpy as np
import pytest

from cnnClassifier import DISCLAIMER
from cnnClassifier.audit.policy import Kept
from cnnClassifier.audit.summary import Findings, summarise
from cnnClassifier.config.data import SPLITS
from cnnClassifier.datasets.manifest import ImageRecord
from cnnClassifier.metrics.calibration import calibration_report
from cnnClassifier.metrics.conformal import conformal_report
from cnnClassifier.metrics.operating import operating_report
from cnnClassifier.metrics.report import report
from cnnClassifier.model_card.card import Registered
from model_card_facts import AUDIT, CLASSES, METRICS, SEARCH, SPEC, card

OPTIONAL = {
    "calibration": "## Calibration",
    "operating": "## Operating threshold",
    "conformal": "## How sure is an answer",
    "gate_of_kind": "## Images of another kind",
    "controls": "## Controls",
}


def test_it_says_what_the_settings_say():
    text = card()
    for said in ("Teaching.", "Anything about a patient.", "Collected by the tests.", "VGG16", "imagenet", "f" * 40):
        assert said in text
    assert text.index("## Intended use") < text.index("Teaching.") < text.index("## Not intended use")
    assert DISCLAIMER in text


def test_protocols_stand_side_by_side_with_their_intervals():
    rows = [line for line in card().splitlines() if line.startswith(("| published", "| dedup", "| grouped_cv"))]
    assert "0.953 (0.903-0.983)" in rows[0]
    assert "0.751 (0.701-0.781)" in rows[2]
    assert "without_exact_copies" not in card()


def test_results_by_class_are_those_of_the_protocol_that_the_gate_looks_at():
    text = card()
    assert "By `grouped_cv`:" in text
    assert "| spiculated_mass | 228 | 0.741 (0.691-0.771) |" in text


def test_precision_is_told_beside_recall_as_the_mean_over_the_classes_that_have_images():
    metrics = copy.deepcopy(METRICS)
    values = zip(metrics["grouped_cv"]["per_class"].values(), (0.9, 0.6, None), strict=True)
    for of_class, value in values:
        of_class["precision"] = {"value": value, "low": None, "high": None}
    (row,) = [line for line in card(metrics).splitlines() if line.startswith("| grouped_cv | 685 | 228 |")]
    assert row.startswith("| grouped_cv | 685 | 228 | 0.751 (0.701-0.781) | 0.750 | 0.751 (0.701-0.781) |")


def test_train_valid_and_test_stand_in_one_table_and_what_each_is_of():
    text = card(search=SEARCH)
    table = text.partition("### Train, valid, test")[2].partition("##")[0]
    assert [line for line in table.splitlines() if line.startswith(("| t", "| valid"))] == [
        "| train | 0.512 | 0.834 |",
        "| valid | 0.803 | 0.707 |",
        "| test | 0.953 (0.903-0.983) | 0.953 (0.903-0.983) |",
    ]
    assert "at its best epoch (2 of 3)" in table
    assert "`training.refit: true`" in table
    assert "### Train, valid, test" not in card()


def test_without_a_published_test_split_the_table_has_no_row_of_it():
    metrics = {name: values for name, values in METRICS.items() if name != "published"}
    table = card(metrics, search=SEARCH).partition("### Train, valid, test")[2].partition("##")[0]
    assert "| valid |" in table
    assert "test split" not in table


def test_faults_of_the_data_are_told_with_the_verdict():
    text = card()
    assert "> The published test split shares 61 of 315 images" in text
    assert "| test images that training has, too: pixel for pixel | 46 |" in text
    assert "policy: 41 as copy of a test image, 2 as mask or blank picture." in text
    assert "214 groups" in text
    assert "| border | 0.520 (0.470-0.550) | 0.333 | 1 |" in text
    assert "The audit's policy is satisfied." in text


def test_a_broken_policy_is_told_with_what_broke_it():
    audit = {**AUDIT, "policy": {"satisfied": False, "broken": ["4 copies of test images are left in training"]}}
    assert "policy is broken: 4 copies of test images are left in training." in card(audit=audit)


def test_controls_stand_beside_the_model_with_what_that_means():
    text = card()
    assert "- published: the 1-nearest-neighbour rule (0.942) is as good as the model" in text
    assert "| published | nearest neighbour | 0.942 (0.892-0.972) | 0.953 (0.903-0.983) |" in text
    assert "No rule comes within" not in text
    weak = {**METRICS, "controls": {**METRICS["controls"], "verdicts": []}}
    assert "No rule comes within the model's interval." in card(weak)


def test_every_section_of_the_metrics_is_told():
    text = card()
    for said in ("0.027", "1.730", "0.314", "98 %", "0.907 (0.857-0.937)", "66 %", "1.2 %", "0.999"):
        assert said in text, said


@pytest.mark.parametrize("section", OPTIONAL)
def test_a_section_that_metrics_do_not_have_is_left_out(section):
    without = {name: values for name, values in METRICS.items() if name != section}
    assert OPTIONAL[section] in card()
    assert OPTIONAL[section] not in card(without)
    assert "unknown" not in card(without)


def test_what_evaluation_and_audit_really_write_is_told_without_a_gap():
    text = card(measured(), summarised(), search=SEARCH)
    assert all(heading in text for name, heading in OPTIONAL.items() if name not in ("gate_of_kind", "controls"))
    assert "### Any positive class" in text
    assert "unknown" not in text
    assert "|  |" not in text


def measured() -> dict[str, Any]:
    """metrics.json's sections by the functions that make them, of random predictions."""
    random = np.random.default_rng(0)
    truth, groups = np.arange(120) % 3, np.arange(120).astype(str)
    probabilities = random.dirichlet((1, 1, 1), 120) * 0.5 + np.eye(3)[truth] * 0.5
    given = {"resamples": 100, "confidence": 0.95, "seed": 0}
    folds = np.arange(120) // 3 % 4
    return {
        "grouped_cv": report(truth, probabilities, groups, CLASSES, positive=(0, 1), **given),
        "calibration": calibration_report(truth, probabilities, folds, groups, seed=0),
        "operating": operating_report(truth, probabilities, folds, groups, CLASSES, (0, 1), 0.95, **given),
        "conformal": conformal_report(truth, probabilities, folds, groups, CLASSES, 0.9, **given),
    }


def summarised() -> dict[str, Any]:
    """audit.json by the function that makes it, of three images of each class."""
    known = {"width": 8, "height": 8, "mode": "L", "format": "PNG", "bytes": 99}
    records = [
        ImageRecord(name, name, label, split, f"g{name}", name, name, **known)
        for label in CLASSES
        for split in SPLITS
        for name in [f"{split}/{label}/1.png"]
    ]
    return summarise(Findings(records, Kept(records, []), [], [], [], []))


def test_a_card_of_an_empty_audit_and_no_metrics_still_says_what_the_model_is_for():
    text = card({"data": {}}, {})
    assert "Teaching." in text
    assert "None" not in text
    assert "## How good it is" not in text


def test_a_metric_that_could_not_be_measured_is_unknown():
    metrics = copy.deepcopy(METRICS)
    metrics["grouped_cv"]["per_class"]["no_finding"]["recall"] = {"value": None, "low": None, "high": None}
    assert "| no_finding | 228 | unknown |" in card(metrics)


def test_the_version_and_the_gates_decision_are_told_once_they_are_known():
    decided = Registered("2026-03-01", "0a1b2c", version=7, champion=False, reason="above the bar")
    assert "# Model card: masses, version 7" in card(registered=decided)
    assert "challenger: above the bar" in card(registered=decided)
    assert "challenger" not in card()
    assert "version" not in card().splitlines()[0]


def test_a_synthetic_model_is_told_apart_at_the_top():
    assert "Synthetic" not in card()
    assert "**Synthetic.**" in card(spec=SPEC.model_copy(update={"synthetic": True})).partition("## Model")[0]
