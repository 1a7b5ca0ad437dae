"""Two registered models as one: the mean of their calibrated probabilities, with its own rules, served as any other."""

import io
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import finished_project
import numpy as np
import onnx
import pandas as pd
import pytest
import yaml
from finished_project import CLASSES, SPEC, picture
from onnx import TensorProto, helper, numpy_helper

from cnnClassifier.cli import app as command_line
from cnnClassifier.config.types import Paths, ServingConfig, Settings
from cnnClassifier.decision import DecisionSpec, OutlierRule, calibrate
from cnnClassifier.ensembles import ENSEMBLE_FILE, command
from cnnClassifier.ensembles.command import make_ensemble
from cnnClassifier.ensembles.members import Member, find_member, why_incomparable
from cnnClassifier.ensembles.rules import fit_rules, mean_of
from cnnClassifier.errors import ConfigError, ModelError
from cnnClassifier.files import read_json
from cnnClassifier.inference import Classifier
from cnnClassifier.metrics.conformal import fit_quantile
from cnnClassifier.metrics.operating import choose_threshold, positive_score
from cnnClassifier.metrics.predictions import Known, Predictions, read_predictions, write_again, write_predictions
from cnnClassifier.model_spec import FEATURES, MAPS, ONNX_FILE, OUTLIERS_FILE, ModelSpec, write_spec
from cnnClassifier.outliers import Reference, save_reference
from cnnClassifier.preprocessing import preprocess
from cnnClassifier.tracking import registry
from cnnClassifier.tracking.client import import_mlflow
from cnnClassifier.tracking.connection import Connection, connect
from cnnClassifier.tracking.packaging import save_pyfunc
from cnnClassifier.tracking.run import open_run
from cnnClassifier.tracking.stages import Artifact
from cnnClassifier.web import ModelHolder, Models, create_app
from imports import ROOT

TEMPERATURES = (1.7, 0.6)
POSITIVE = CLASSES[:3]
PATIENTS, SLICES = 40, 2


def tiny_settings() -> Settings:
    tree = finished_project.settings().model_dump(mode="json")
    tree["evaluation"] |= {"resamples": 200, "operating": {"positive": POSITIVE, "sensitivity": 0.9}}
    tree["registration"]["calibration_error"] = 1.0
    return Settings.model_validate(tree)


@pytest.fixture
def settings() -> Settings:
    return tiny_settings()


@pytest.fixture(scope="module")
def home(tmp_path_factory, empty_database) -> Path:
    """One registry for all these tests, which give their ensembles names of their own."""
    folder = tmp_path_factory.mktemp("ensembles")
    shutil.copyfile(empty_database, folder / "mlflow.db")
    return folder


@pytest.fixture(scope="module")
def members(home) -> list[Classifier]:
    """Two versions of one model, registered with their evidence; the first refuses pictures of other kinds."""
    made, local, settings = [], Connection(f"sqlite:///{home}/mlflow.db", home / "mlruns"), tiny_settings()
    paths = finished_project.project_paths(home / "project")
    for number in (1, 2):
        decision = DecisionSpec(
            temperature=TEMPERATURES[number - 1], outliers=OutlierRule(threshold=0.5) if number == 1 else None
        )
        spec = SPEC.model_copy(update={"decision": decision})
        package = write_member(home / f"package{number}", number, spec)
        register(local, settings, paths, package, spec, table(number), home / f"pyfunc{number}")
        made.append(Classifier.load(package, settings.registration.name, str(number)))
    return made


@pytest.fixture
def local(home, members, tracking) -> Connection:
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{home}/mlflow.db"
    return connect(tracking)


def write_member(folder: Path, seed: int, spec: ModelSpec) -> Path:
    """A package whose answer depends on a picture's colour, with features and maps."""
    folder.mkdir()
    weights = np.random.default_rng(seed).normal(0, 0.02, (3, len(spec.classes))).astype(np.float32)
    side = spec.preprocessing.image_size
    outputs = {"probabilities": [len(spec.classes)], FEATURES: [3], MAPS: [len(spec.classes), 1, 1]}
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["image", "axes"], [FEATURES], keepdims=0),
            helper.make_node("MatMul", [FEATURES, "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
            helper.make_node("Unsqueeze", ["logits", "behind"], [MAPS]),
        ],
        "colour",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", side, side, 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape]) for name, shape in outputs.items()],
        [
            numpy_helper.from_array(np.array([1, 2], dtype=np.int64), "axes"),
            numpy_helper.from_array(np.array([2, 3], dtype=np.int64), "behind"),
            numpy_helper.from_array(weights, "weights"),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), folder / ONNX_FILE)
    write_spec(spec, folder)
    if spec.decision.outliers is not None:
        save_reference(Reference(np.full((5, 3), 3**-0.5, np.float32), np.ones(3, np.float32)), folder / OUTLIERS_FILE)
    return folder


def register(
    connection: Connection,
    settings: Settings,
    paths: Paths,
    package: Path,
    spec: ModelSpec,
    out_of_fold: Predictions | None,
    scratch: Path,
) -> int:
    """As the pipeline leaves a version: a run with its out-of-fold predictions and its audit, and the package."""
    run = open_run(connection, settings, paths.cache)
    files = [Artifact(write_json(scratch.parent / "audit.json", {"policy": {"satisfied": True}}), "data_audit")]
    if out_of_fold is not None:
        write_again(out_of_fold, scratch.parent / "out_of_fold.csv")
        files.append(Artifact(scratch.parent / "out_of_fold.csv", "training"))
    run.log_results(files, {}, {})
    save_pyfunc(package, None, scratch, spec)
    version = registry.register(run, scratch, settings.registration.name, "Tiny.", {registry.TEST_DATA_TAG: "t"})
    run.finish()
    return version


def write_json(file: Path, content: Any) -> Path:
    file.write_text(json.dumps(content))
    return file


def table(seed: int) -> Predictions:
    """Out-of-fold predictions that are mostly right, of the same images whatever the seed."""
    truth = np.repeat(np.arange(PATIENTS) % len(CLASSES), SLICES)
    logits = 1.5 * np.eye(len(CLASSES))[truth] + np.random.default_rng(seed).normal(size=(len(truth), len(CLASSES)))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    names = [f"{number:03}" for number in range(len(truth))]
    groups = np.array([f"p{number // SLICES:02}" for number in range(len(truth))])
    folds = np.array([number // SLICES // 4 % 4 for number in range(len(truth))])
    labels = [CLASSES[each] for each in truth]
    return Predictions(names, names, names, groups, labels, truth, folds, probabilities, CLASSES)


def pictures() -> np.ndarray:
    return np.random.default_rng(5).uniform(0, 255, (6, 32, 32, 3)).astype(np.float32) * np.linspace(0, 1, 6).reshape(
        6, 1, 1, 1
    ).astype(np.float32)


def make(name: str, asked: list[str], settings, paths, local) -> str:
    return make_ensemble(name, asked, settings, paths, local)


def served(local, name: str, folder: Path, alias: str = registry.CHALLENGER) -> Classifier:
    package = registry.download(local, name, alias, folder)
    return Classifier.load(package.folder, package.name, package.version)


# --- the mean, served ---------------------------------------------------------------------


def test_it_answers_the_mean_of_its_members_in_the_app_and_as_a_pyfunc(members, local, settings, paths, tmp_path):
    said = make("both", ["tiny_chest_ct/1", "tiny_chest_ct/2"], settings, paths, local)
    assert said.startswith("both version 1, champion: ")
    both = served(local, "both", tmp_path / "served", registry.CHAMPION)
    mean = np.mean([calibrate(m.classify_pixels(pictures()), m.spec.decision.temperature) for m in members], axis=0)
    np.testing.assert_allclose(both.classify_pixels(pictures()), mean, atol=1e-6)
    certain = np.full((1, 32, 32, 3), 1e6, np.float32)  # probabilities of exactly 0 and 1
    assert 0 in members[0].classify_pixels(certain)
    sure = np.mean([calibrate(m.classify_pixels(certain), m.spec.decision.temperature) for m in members], axis=0)
    np.testing.assert_allclose(both.classify_pixels(certain), sure, atol=1e-6)
    assert np.abs(mean - members[0].classify_pixels(pictures())).max() > 0.01
    holder = ModelHolder(lambda: both)
    holder.load_once()
    client = create_app(Models(holder), ServingConfig(), ROOT).test_client()
    pixels = preprocess(picture(), both.spec.preprocessing)[np.newaxis]
    asked = np.mean([calibrate(m.classify_pixels(pixels), m.spec.decision.temperature) for m in members], axis=0)[0]
    answer = client.post("/api/v1/predict", data={"image": (io.BytesIO(picture()), "a.png")}).get_json()
    assert answer["model"] == "both"
    assert answer["version"] == "1"
    assert list(answer["probabilities"]) == list(CLASSES)
    np.testing.assert_allclose(list(answer["probabilities"].values()), asked, atol=1e-5)
    assert "both version" not in client.get("/model-card").text  # the packed card is older than its version
    assert "Lakshminarayanan" in client.get("/model-card").text
    model = import_mlflow().pyfunc.load_model("models:/both@champion")
    (row,) = model.predict(pd.DataFrame({"image": [picture()]})).to_dict("records")
    np.testing.assert_allclose([row[f"probability_{name}"] for name in CLASSES], asked, atol=1e-5)
    assert (row["model"], row["version"]) == ("both", "1")
    assert both.spec.backbone == "ensemble of tiny, tiny"
    explained = client.post("/api/v1/explain", data={"image": (io.BytesIO(picture()), "a.png")})
    assert explained.status_code >= 400
    assert "an ensemble has no maps" in explained.text


# --- rules --------------------------------------------------------------------------------


def test_rules_are_fitted_on_the_mean_of_out_of_fold_predictions_and_the_gate_is_the_first_members(
    members, local, settings, paths, tmp_path
):
    make("ruled", ["tiny_chest_ct/1", "tiny_chest_ct/2"], settings, paths, local)
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
    said = make("ruleless", ["tiny_chest_ct/1", f"tiny_chest_ct/{version}"], settings, paths, local)
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


def test_a_second_ensemble_meets_the_first_and_may_be_a_member(members, local, settings, paths, tmp_path):
    make("pair", ["tiny_chest_ct/1", "tiny_chest_ct/2"], settings, paths, local)
    said = make("pair", ["pair", "tiny_chest_ct/2"], settings, paths, local)
    assert said.startswith("pair version 2, challenger: ")
    assert "of version 1: a gain of" in said
    assert "policy" not in said  # the first member, an ensemble, keeps the audit of its own first member
    both = served(local, "pair", tmp_path / "served")
    about = read_json(both.folder / ENSEMBLE_FILE)
    assert [(each["name"], each["version"]) for each in about["members"]] == [("pair", 1), ("tiny_chest_ct", 2)]
    one, other = (calibrate(m.classify_pixels(pictures()), m.spec.decision.temperature) for m in members)
    np.testing.assert_allclose(both.classify_pixels(pictures()), one / 4 + other * 3 / 4, atol=1e-6)


def test_a_champion_whose_card_was_never_written_can_be_met(members, local, settings, paths, monkeypatch):
    def killed(folder: Path, *_: object) -> None:
        if folder.name == "card":
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(command, "write_card", killed)
        with pytest.raises(KeyboardInterrupt):
            make("late", ["tiny_chest_ct/1", "tiny_chest_ct/2"], settings, paths, local)
    assert registry.find(local, "late", registry.CHAMPION).version == 1
    assert "a gain of" in make("late", ["tiny_chest_ct/1", "tiny_chest_ct/2"], settings, paths, local)


def test_two_at_a_time_do_not_meddle_with_each_other(members, local, settings, paths, tmp_path, monkeypatch):
    audit, asked = command._audit, ["tiny_chest_ct/1", "tiny_chest_ct/2"]

    def in_the_middle(*given: Any) -> Any:
        monkeypatch.setattr(command, "_audit", audit)
        make("second", asked[::-1], settings, paths, local)
        return audit(*given)

    monkeypatch.setattr(command, "_audit", in_the_middle)
    make("first", asked, settings, paths, local)
    for name, versions in (("first", [1, 2]), ("second", [2, 1])):
        package = registry.download(local, name, registry.CHALLENGER, tmp_path)
        assert [each["version"] for each in read_json(package.folder / ENSEMBLE_FILE)["members"]] == versions


def test_a_table_that_is_written_again_is_the_same(tmp_path):
    known = [Known(name, name, name, "p", CLASSES[0]) for name in ("b", "a")]
    write_predictions(known, np.full((2, 4), 0.25), CLASSES, tmp_path / "one.csv", np.array([1, 0]))
    write_again(read_predictions(tmp_path / "one.csv"), tmp_path / "two.csv")
    assert (tmp_path / "two.csv").read_bytes() == (tmp_path / "one.csv").read_bytes()


# --- what does not fit --------------------------------------------------------------------


def other_member(local, settings, paths, tmp_path, **changes: Any) -> int:
    spec = SPEC.model_copy(update=changes)
    package = write_member(tmp_path / "other", 3, spec)
    return register(local, settings, paths, package, spec, table(3), tmp_path / "pyfunc3")


def test_members_of_other_classes_or_another_order_are_refused(members, local, settings, paths, tmp_path):
    other = other_member(local, settings, paths, tmp_path, classes=CLASSES[::-1])
    with pytest.raises(ModelError, match=r"same classes in the same order: tiny_chest_ct version 1 has adenocarcinoma"):
        make("unlike", ["tiny_chest_ct/1", f"tiny_chest_ct/{other}"], settings, paths, local)
    assert registry.versions(local, "unlike") == []


def test_members_that_take_other_pictures_are_refused(members, local, settings, paths, tmp_path):
    preprocessing = SPEC.preprocessing.model_copy(update={"image_size": 48, "body_crop": False})
    other = other_member(local, settings, paths, tmp_path, preprocessing=preprocessing)
    with pytest.raises(ModelError, match=r"differ in image_size 32 and 48; body_crop True and False: train one"):
        make("unlike", ["tiny_chest_ct/1", f"tiny_chest_ct/{other}"], settings, paths, local)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["tiny_chest_ct/1"], "two members or more. Received: tiny_chest_ct/1"),
        (["tiny_chest_ct/2", "tiny_chest_ct/2"], "tiny_chest_ct/2 is named twice"),
        (["tiny_chest_ct/1", "tiny_chest_ct/99"], "tiny_chest_ct has no version 99; there are: 1, 2"),
        (["tiny_chest_ct/1", "tiny_chest_ct"], "no model tiny_chest_ct@champion"),
        (["tiny_chest_ct/1", "tiny_chest_ct:2"], "expected model, model@alias or model/version"),
    ],
)
def test_members_that_are_not_there_or_not_several_are_told(members, local, settings, paths, asked, said):
    with pytest.raises((ConfigError, ModelError), match=said):
        make("unlike", asked, settings, paths, local)


def test_a_name_that_no_model_may_have_is_told(local, settings, paths):
    with pytest.raises(ConfigError, match=r"^ensemble: name: .* Received: 'my model'$"):
        make("my model", ["tiny_chest_ct/1", "tiny_chest_ct/2"], settings, paths, local)


def test_a_member_is_named_by_version_alias_or_as_champion(members, local):
    registry.set_alias(local, "tiny_chest_ct", 2, "best")
    assert find_member(local, "tiny_chest_ct@best").version == find_member(local, "tiny_chest_ct/2").version == 2


def test_the_command_takes_members_behind_of_or_each_with_its_own(local, settings, tmp_path, monkeypatch):
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text((ROOT / "config/config.yaml").read_text())
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    monkeypatch.chdir(tmp_path)
    assert os.environ["MLFLOW_TRACKING_URI"]
    for order in (["--of", "a/1", "b/2"], ["--of", "a/1", "--of", "b/2"]):
        with pytest.raises(ModelError, match="no model a; run the pipeline"):
            command_line(["ensemble", "both", *order], standalone_mode=False)
