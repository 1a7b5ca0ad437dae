"""evaluation: a trained model in; predictions, metrics by every protocol, the rules for answers and plots out."""

import csv
import json
import shutil

import numpy as np
import pytest

from cnnClassifier.components.evaluation import PROBES
from cnnClassifier.config.types import Paths
from cnnClassifier.datasets.manifest import read_manifest, write_manifest
from cnnClassifier.decision import DecisionSpec, calibrate
from cnnClassifier.errors import ConfigError, DataError
from cnnClassifier.export import export_package
from cnnClassifier.inference import Classifier
from cnnClassifier.metrics.classification import OVERALL
from cnnClassifier.metrics.controls import RULES
from cnnClassifier.metrics.predictions import Predictions, read_predictions, write_predictions
from cnnClassifier.modeling import load_model
from cnnClassifier.monitoring.measuring import measure_files
from cnnClassifier.monitoring.reference import REFERENCE_FILE, load_training_reference
from cnnClassifier.probes import probes
from tiny_pipeline import CLASSES, LEAKED, PATIENTS, SLICES, contents, evaluate

PUBLISHED = len(CLASSES) * PATIENTS["test"] * SLICES + 1
PROTOCOLS = {"published": PUBLISHED, "without_exact_copies": PUBLISHED - 1, "deduplicated": PUBLISHED - 1}
REPORTED = {"controls", "calibration", "conformal", "operating", "gate_of_kind", "answers", "data"}
OUTPUTS = ("metrics", "predictions", "decision", "outliers", "reference", "evaluation_plots")


def elsewhere(paths: Paths, folder, *more: str) -> Paths:
    """The same inputs, with evaluation's outputs (and more, if named) in another folder."""
    return paths.model_copy(update={name: folder / name for name in (*OUTPUTS, *more)})


@pytest.fixture(scope="module")
def metrics(evaluated):
    return json.loads(evaluated.metrics.read_text())


@pytest.fixture(scope="module")
def out_of_fold(evaluated) -> Predictions:
    return read_predictions(evaluated.out_of_fold)


@pytest.fixture(scope="module")
def predictions(evaluated):
    with evaluated.predictions.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# --- protocols ----------------------------------------------------------------------------


def test_a_model_trained_on_what_can_be_told_apart_tells_it_apart(metrics):
    assert metrics["published"]["balanced_accuracy"]["value"] > 0.8
    assert metrics["grouped_cv"]["balanced_accuracy"]["value"] > 0.6


def test_metrics_hold_every_protocol_and_everything_that_is_fitted(metrics, out_of_fold):
    assert set(metrics) == {"grouped_cv", *PROTOCOLS, *REPORTED}
    for protocol, images in {**PROTOCOLS, "grouped_cv": len(out_of_fold.paths)}.items():
        assert metrics[protocol]["images"] == images
        for name in OVERALL:
            values = metrics[protocol][name]
            assert values["low"] <= values["value"] <= values["high"]
        assert set(metrics[protocol]["per_class"]) == set(CLASSES)
        assert set(metrics[protocol]["any_positive"]) == {"sensitivity", "specificity"}
        assert metrics[protocol]["by_source"]["PNG L"]["images"] == images
        assert set(metrics["controls"][protocol]) == set(RULES)
    assert isinstance(metrics["controls"]["verdicts"], list)


def test_copies_of_training_images_count_only_in_the_published_protocol(metrics):
    support = {protocol: metrics[protocol]["per_class"]["disc"]["support"] for protocol in PROTOCOLS}
    assert support == {"published": 10, "without_exact_copies": 9, "deduplicated": 9}
    assert metrics["published"]["groups"] == metrics["without_exact_copies"]["groups"] + 1


def test_every_test_image_has_one_row_of_probabilities(evaluated, predictions):
    test = [record for record in read_manifest(evaluated.manifest) if record.split == "test"]
    assert [row["path"] for row in predictions] == [record.path for record in test]
    assert LEAKED in [row["path"] for row in predictions]
    for row in predictions:
        probabilities = [float(row[name]) for name in CLASSES]
        assert sum(probabilities) == pytest.approx(1, abs=1e-5)
        assert row["predicted"] == CLASSES[int(np.argmax(probabilities))]


def test_every_other_image_has_one_out_of_fold_and_none_of_its_group_elsewhere(evaluated, out_of_fold):
    trained = [record for record in read_manifest(evaluated.audited_manifest) if record.split != "test"]
    assert out_of_fold.paths == [record.path for record in trained]
    folds = {group: set(out_of_fold.folds[out_of_fold.groups == group]) for group in out_of_fold.groups}
    assert all(len(of_group) == 1 for of_group in folds.values())


def test_the_metrics_are_those_of_the_predictions(metrics, predictions, out_of_fold):
    right = np.mean([row["predicted"] == row["label"] for row in predictions])
    assert metrics["published"]["accuracy"]["value"] == pytest.approx(right, abs=1e-6)
    by_others = (out_of_fold.probabilities.argmax(axis=1) == out_of_fold.truth).mean()
    assert metrics["grouped_cv"]["accuracy"]["value"] == pytest.approx(by_others, abs=1e-6)


# --- the rules for answers ------------------------------------------------------------------


@pytest.fixture(scope="module")
def decision(evaluated) -> DecisionSpec:
    return DecisionSpec.model_validate_json(evaluated.decision.read_bytes())


def test_the_decision_holds_the_numbers_that_the_metrics_tell_of(metrics, decision):
    assert decision.temperature == metrics["calibration"]["temperature"]
    assert decision.conformal.quantile == metrics["conformal"]["quantile"]
    assert decision.outliers.threshold == metrics["gate_of_kind"]["threshold"]
    assert decision.operating.positive == ("disc",)
    assert decision.operating.threshold == metrics["operating"]["threshold"]
    assert decision.abstain == "undecided"
    assert metrics["answers"]["answered"] + metrics["answers"]["abstained"] == pytest.approx(1)


def test_a_served_model_refuses_what_the_metrics_say_and_answers_the_rest(evaluated, metrics, decision, tmp_path):
    model, spec = load_model(evaluated.model)
    export_package(model, spec.model_copy(update={"decision": decision}), tmp_path, evaluated.outliers)
    served = Classifier.load(tmp_path, "shapes", "1")
    assert served.spec.decision == decision
    gate = metrics["gate_of_kind"]
    test = [record for record in read_manifest(evaluated.manifest) if record.split == "test"]
    own = [served.classify((evaluated.images / record.path).read_bytes()).state for record in test]
    assert own.count("refused") / len(own) == pytest.approx(gate["test_refused"], abs=1e-6)
    assert own.count("answer") > len(own) / 2
    for kind, pictures in probes(PROBES, seed=1).items():
        states = [served.classify(picture).state for picture in pictures]
        assert states.count("refused") / len(states) == pytest.approx(gate["kinds"][kind]["refused"])


def test_the_gate_is_tried_on_other_kinds_of_picture_and_on_the_test_split(metrics):
    gate = metrics["gate_of_kind"]
    assert set(gate["kinds"]) == {"photographs", "plots", "documents"}
    assert all(kind["images"] == PROBES and kind["auroc"] > 0.9 for kind in gate["kinds"].values())
    assert 0 <= gate["test_refused"] <= 0.2


# --- files --------------------------------------------------------------------------------


def test_the_training_reference_is_what_new_images_would_have_been(evaluated, metrics, decision, out_of_fold, tmp_path):
    shutil.copy(evaluated.reference, tmp_path / REFERENCE_FILE)
    reference = load_training_reference(tmp_path)
    calibrated = calibrate(out_of_fold.probabilities, decision.temperature)
    assert reference.probabilities == pytest.approx(calibrated, abs=1e-6)
    assert len(set(reference.groups.tolist())) == len(set(out_of_fold.groups.tolist()))
    refused = (reference.distances > decision.outliers.threshold).mean()
    assert refused <= 0.05  # held out: a few, where 1 % was asked for
    files = [evaluated.images / path for path in out_of_fold.paths[:3]]
    assert reference.properties[:3] == pytest.approx(measure_files(files), rel=1e-5)


def test_plots_are_written_for_people_and_for_dvc(evaluated):
    names = {"confusion_matrix", "roc", "precision_recall", "calibration"}
    names |= {"prediction_distribution", "classification_report"}
    files = contents(evaluated.evaluation_plots)
    for folder in ("", "grouped_cv/"):
        assert {f"{folder}{name}.{kind}" for name in names for kind in ("png", "csv")} <= set(files)
    drawn = {name.rpartition("/")[2] for name in files if name.startswith("grouped_cv/")}
    assert {"reliability.csv", "operating.csv", "conformal.csv"} <= drawn
    assert {"gate.png", "gate.csv"} <= set(files)
    assert all(data.startswith(b"\x89PNG") for name, data in files.items() if name.endswith("png"))


def test_the_test_data_is_named_so_that_results_on_other_data_are_never_compared(metrics):
    assert len(metrics["data"]["test_sha256"]) == 64
    assert metrics["data"]["synthetic"] is False


def test_evaluating_again_gives_the_same_bytes(evaluated, tmp_path):
    again = elsewhere(evaluated, tmp_path)
    evaluate(again)
    for name in OUTPUTS[:-1]:
        assert getattr(again, name).read_bytes() == getattr(evaluated, name).read_bytes(), name


def test_a_test_split_of_nothing_but_copies_and_no_class_to_err_towards(evaluated, tmp_path):
    paths = elsewhere(evaluated, tmp_path, "audited_manifest")
    records = read_manifest(evaluated.audited_manifest)
    write_manifest([each for each in records if each.split != "test" or each.path == LEAKED], paths.audited_manifest)
    evaluate(paths, operating=None, abstain="ambiguous")
    metrics = json.loads(paths.metrics.read_text())
    assert set(metrics) == {"grouped_cv", "published", *REPORTED} - {"operating"}
    assert metrics["published"]["images"] == 1
    assert set(metrics["controls"]) == {"grouped_cv", "published", "verdicts"}
    assert "any_positive" not in metrics["grouped_cv"]
    decision = DecisionSpec.model_validate_json(paths.decision.read_bytes())
    assert decision.operating is None
    assert decision.abstain == "ambiguous"


# --- what cannot be evaluated ---------------------------------------------------------------


def test_a_positive_class_that_the_model_does_not_know_is_refused(evaluated, tmp_path):
    paths = elsewhere(evaluated, tmp_path)
    expected = r"operating\.positive: expected classes of data_ingestion\.classes \(disc, square\)\. Received: circle"
    with pytest.raises(ConfigError, match=rf"^evaluation\.{expected}"):
        evaluate(paths, operating={"positive": ["disc", "circle"]})
    assert not paths.metrics.exists()


def test_out_of_fold_predictions_of_other_images_are_stale(evaluated, tmp_path):
    paths = elsewhere(evaluated, tmp_path, "out_of_fold")
    path = next(line.split(",")[2] for line in evaluated.out_of_fold.read_text().splitlines()[1:])
    paths.out_of_fold.write_text(evaluated.out_of_fold.read_text().replace(path, "train/disc/gone.png"))
    with pytest.raises(DataError, match=r"train/disc/gone\.png is not in .*; run `python main\.py training` again"):
        evaluate(paths)


def test_predictions_that_are_not_out_of_fold_are_refused(evaluated, tmp_path):
    paths = elsewhere(evaluated, tmp_path, "out_of_fold")
    trained = [record for record in read_manifest(evaluated.audited_manifest) if record.split != "test"]
    write_predictions(trained, np.full((len(trained), 2), 0.5), CLASSES, paths.out_of_fold)
    with pytest.raises(DataError, match=r"name no folds; run `python main\.py training`"):
        evaluate(paths)


def test_without_a_training_it_says_which_stage_to_run(evaluated, tmp_path):
    with pytest.raises(DataError, match=r"no predictions; run `python main\.py training` first"):
        evaluate(elsewhere(evaluated, tmp_path, "out_of_fold"))
