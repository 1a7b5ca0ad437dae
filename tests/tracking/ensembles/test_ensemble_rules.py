"""An ensemble's own rules: of its members' out-of-fold predictions, if these are of the same images and folds."""

from dataclasses import replace

import numpy as np
import pytest
from finished_project import CLASSES, SPEC
from registered_members import TEMPERATURES, pictures, register, served, table, write_member

from cnnClassifier.decision import DecisionSpec, calibrate
from cnnClassifier.ensembles.command import make_ensemble
from cnnClassifier.ensembles.members import Member, why_incomparable
from cnnClassifier.ensembles.rules import fit_rules, mean_of
from cnnClassifier.metrics.conformal import fit_quantile
from cnnClassifier.metrics.operating import choose_threshold, positive_score
from cnnClassifier.metrics.predictions import Known, read_predictions, write_again, write_predictions
from cnnClassifier.tracking import registry


def test_rules_are_fitted_on_the_mean_of_out_of_fold_predictions_and_the_gate_is_the_first_members(
    members, local, settings, paths, tmp_path
):
    make_ensemble("ruled", ["tiny_chest_ct/1", "tiny_chest_ct/2"], settings, paths, local)
    both = served(local, "ruled", tmp_path / "served")
    mean = np.mean([calibrate(table(n).probabilities, t) for n, t in zip((1, 2), TEMPERATURES, strict=True)], axis=0)
    truth, decision = table(1).truth, both.spec.decision
    assert decision.temperature == 1
    assert decision.conformal.quantile == pytest.approx(fit_quantile(truth, mean, 0.9), abs=1e-5)
    score, is_positive = positive_score(mean, [0, 1, 2]), np.isin(truth, [0, 1, 2])
    assert decision.operating.threshold == pytest.approx(choose_threshold(score, is_positive, 0.9), abs=1e-5)
    far = np.zeros((1, 32, 32, 3), np.float32) + np.array([250, 0, 0], np.float32)
    assert [model.classify_batch(far)[0].state for model in (members[0], both)] == ["refused", "refused"]
    near = np.full((1, 32, 32, 3), 90, np.float32)
    assert both.classify_batch(near)[0].state == "answer"
    card = (both.folder / "model_card.md").read_text()
    assert "tiny\\_chest\\_ct version 1 refuses" in card or "tiny_chest_ct version 1 refuses" in card
    found = registry.find(local, "ruled", registry.CHALLENGER)
    assert found.tags["ensemble.members"] == "tiny_chest_ct/1, tiny_chest_ct/2"
    logged = local.client.get_run(found.run_id).data.metrics["grouped_cv.balanced_accuracy"]
    assert logged == pytest.approx((mean.argmax(axis=1) == truth).mean(), abs=1e-5)  # classes are equally many


def test_what_is_reported_of_a_rule_comes_from_the_other_folds(settings):
    mean = mean_of([table(1), table(2)], TEMPERATURES)
    fitted = fit_rules(mean, settings.evaluation, None)
    labels = np.where(mean.folds == 0, (mean.truth + 1) % 4, mean.truth)
    lied = fit_rules(replace(mean, truth=labels), settings.evaluation, None)
    assert lied.metrics["conformal"]["quantile"] > fitted.metrics["conformal"]["quantile"]
    assert lied.metrics["conformal"]["coverage"]["value"] < fitted.metrics["conformal"]["coverage"]["value"]


def test_without_comparable_predictions_there_are_no_rules_and_the_card_says_so(
    members, local, settings, paths, tmp_path
):
    spec = members[1].spec.model_copy(update={"description": "Other folds."})
    other = replace(table(2), folds=(table(2).folds + 1) % 4)
    package = write_member(tmp_path / "package", 2, spec)
    version = register(local, settings, paths, package, spec, other, tmp_path / "pyfunc")
    said = make_ensemble("ruleless", ["tiny_chest_ct/1", f"tiny_chest_ct/{version}"], settings, paths, local)
    ruleless = served(local, "ruleless", tmp_path / "served")
    assert ruleless.spec.decision == DecisionSpec()
    assert "It has no rules for answers: " in (ruleless.folder / "model_card.md").read_text()
    assert "most probable class" in ruleless.spec.description
    assert said.startswith("ruleless version 1, challenger: ")
    assert 'promote 1 --name ruleless --because "..."' in said
    mean = np.mean([calibrate(m.classify_pixels(pictures()), m.spec.decision.temperature) for m in members], axis=0)
    answers = ruleless.classify_batch(pictures())
    assert [each.label for each in answers] == [CLASSES[row.argmax()] for row in mean]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (table(2), ""),
        (replace(table(2), folds=(table(2).folds + 1) % 4), "same folds"),
        (replace(table(2), groups=table(2).groups[::-1]), "same folds"),
        (replace(table(2), sha256=[f"{name}x" for name in table(2).sha256]), "same images"),
        (replace(table(2), labels=table(2).labels[::-1]), "same images"),
        (replace(table(2), classes=CLASSES[::-1]), "of other classes"),
        (replace(table(2), folds=None), "keeps no out-of-fold"),
        (None, "keeps no out-of-fold"),
    ],
)
def test_predictions_are_joined_only_of_the_same_images_groups_and_folds(other, said, tmp_path):
    version = registry.RegisteredModel("tiny", 1, "r", {})
    one, two = (Member(version, tmp_path, SPEC, each) for each in (table(1), other))
    found = why_incomparable([one, two])
    assert said in found
    assert bool(said) == bool(found)


def test_a_table_that_is_written_again_is_the_same(tmp_path):
    known = [Known(name, name, name, "p", CLASSES[0]) for name in ("b", "a")]
    write_predictions(known, np.full((2, 4), 0.25), CLASSES, tmp_path / "one.csv", np.array([1, 0]))
    write_again(read_predictions(tmp_path / "one.csv"), tmp_path / "two.csv")
    assert (tmp_path / "two.csv").read_bytes() == (tmp_path / "one.csv").read_bytes()
