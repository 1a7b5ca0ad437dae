"""registration: what a run leaves becomes a version, and champion only through the gate."""

import errno
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnnClassifier.audit.pairs import pair_up, write_pairs
from cnnClassifier.components import registration
from cnnClassifier.components.registration import Registration, find_metric
from cnnClassifier.config.network import PreprocessingSpec
from cnnClassifier.config.types import Paths, PrepareBaseModelConfig, RegistrationConfig
from cnnClassifier.datasets.manifest import ImageRecord, write_manifest
from cnnClassifier.decision import DecisionSpec
from cnnClassifier.errors import ConfigError
from cnnClassifier.files import read_json, write_json, write_text
from cnnClassifier.fit_state import FitState, history_table
from cnnClassifier.inference import Classifier
from cnnClassifier.metrics.classification import OVERALL
from cnnClassifier.metrics.predictions import write_predictions
from cnnClassifier.model_spec import ModelSpec
from cnnClassifier.monitoring.reference import Axes, save_training_reference
from cnnClassifier.preprocessing import preprocess
from cnnClassifier.tracking import registry
from cnnClassifier.tracking.connection import Connection
from cnnClassifier.tracking.run import open_run
from watched import TRAINED as TRAINED_PATIENTS
from watched import reference_of

CLASSES = ("disc", "square")
NAME = "shapes"
IMAGES, TESTED, TRAINED = 80, 6, 4
FEATURES = 96  # of SmallCNN


@dataclass
class Trained:
    """A project whose evaluation has run; `register` gives registration.json of the next version."""

    paths: Paths
    connection: Connection
    settings: Any

    def register(self, wrong: int, metric: str = "grouped_cv.balanced_accuracy", **results: Any) -> dict[str, Any]:
        """Register a model that takes `wrong` of the images for the other class."""
        write_results(self.paths, wrong, **results)
        run = open_run(self.connection, self.settings, self.paths.cache)
        config = RegistrationConfig(name=NAME, description="Two shapes.", metric=metric)
        Registration(config, self.paths, run).run()
        run.log_stage("registration", self.paths)
        run.finish()
        return read_json(self.paths.registration)

    def champion(self) -> int:
        return registry.find(self.connection, NAME, "champion").version

    def tags(self, version: int) -> dict[str, str]:
        return self.connection.client.get_model_version(NAME, str(version)).tags


@pytest.fixture(scope="module")
def keras_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from cnnClassifier.modeling import build_classifier, save_model

    preprocessing = PreprocessingSpec(image_size=16, body_crop=False)
    config = PrepareBaseModelConfig(seed=1, backbone="SmallCNN", weights="none", preprocessing=preprocessing)
    folder = tmp_path_factory.mktemp("trained") / "model"
    folder.mkdir()
    spec = ModelSpec(
        classes=CLASSES, preprocessing=preprocessing, backbone="SmallCNN", weights="none", freeze="all", synthetic=True
    )
    save_model(build_classifier(config, 2), spec, folder)
    return folder


@pytest.fixture
def trained(paths, keras_model, local, settings) -> Trained:
    paths = paths.model_copy(update={"model": keras_model})
    for record in [*records("test")[:TESTED], *records("train")[:TRAINED]]:
        file = paths.images / record.path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((20, 20), 40).save(file)
    return Trained(paths, local, settings)


def records(split: str) -> list[ImageRecord]:
    known = {"width": 20, "height": 20, "mode": "L", "format": "PNG", "bytes": 99}
    return [
        ImageRecord(name, f"{name}.png", CLASSES[number % 2], split, f"g{number // 2}", name, name, **known)
        for number in range(IMAGES)
        for name in [f"{split}{number:03}"]
    ]


def write_results(
    paths: Paths,
    wrong: int,
    ece: float = 0.02,
    broken: tuple[str, ...] = (),
    classes: tuple[str, ...] = CLASSES,
    unsaid: bool = False,
) -> None:
    answers = np.array([[0.9, 0.1], [0.1, 0.9]])[np.arange(IMAGES) % 2]
    answers[:wrong] = answers[:wrong, ::-1]
    write_predictions(records("train"), answers, classes, paths.out_of_fold, np.arange(IMAGES) // 2 % 4)
    write_predictions(records("test"), answers, classes, paths.predictions)
    write_manifest([*records("train"), *records("test")[:TESTED]], paths.manifest)
    write_manifest([*records("train")[:TRAINED], *records("test")[:TESTED]], paths.audited_manifest)
    write_pairs([pair_up("near", "test000.png", "train000.png", 0.97)], paths.pairs)
    score = {"value": None if unsaid else 1 - wrong / IMAGES, "low": 0.1, "high": 1.0}
    protocol = {"images": IMAGES, "groups": IMAGES // 2, **dict.fromkeys(OVERALL, score), "per_class": {}}
    protocols = dict.fromkeys(("published", "without_exact_copies", "deduplicated", "grouped_cv"), protocol)
    metrics = {**protocols, "data": {"test_sha256": "abc", "synthetic": True}}
    calibration = {"temperature": 1.2, "ece": {"before": 0.1, "debiased": ece}}
    write_json({**metrics, "calibration": calibration}, paths.metrics)
    write_json({"verdict": "Clean.", "policy": {"satisfied": not broken, "broken": list(broken)}}, paths.audit)
    epoch = {"accuracy": 0.9, "loss": 0.3, "val_accuracy": 0.8, "val_loss": 0.4}
    write_text(history_table(FitState([epoch])), paths.history)
    write_text(DecisionSpec(temperature=1.2).model_dump_json(), paths.decision)
    blind = Axes(np.zeros(FEATURES, np.float32), np.zeros((4, FEATURES), np.float32))
    save_training_reference(replace(reference_of(TRAINED_PATIENTS), axes=blind), paths.reference)


def test_a_first_good_model_becomes_champion_and_carries_its_card_and_its_decision(trained, tmp_path):
    registered = trained.register(wrong=4)
    assert (registered["version"], registered["champion"], trained.champion()) == (1, True, 1)
    served = registry.download(trained.connection, NAME, "champion", tmp_path / "served").folder
    files = {"model.onnx", "model.json", "model_card.md", "model_card.html", "reference.npz"}
    assert files == {file.name for file in served.iterdir()}
    assert Classifier.load(served, NAME, "1").spec.decision.temperature == 1.2
    card = (trained.paths.model_card / "model_card.md").read_text()
    assert card.startswith("# Model card: shapes, version 1\n")
    assert "champion: there was no champion before" in card
    assert "| train | 0.300 | 0.900 |\n| valid | 0.400 | 0.800 |\n| test | 0.950 (" in card
    assert "version" not in (served / "model_card.md").read_text().splitlines()[0]


def test_it_says_the_commit_that_the_run_was_started_at(trained, tmp_path, monkeypatch):
    repository = tmp_path / "repository"
    git = f"git -C {repository} -c user.name=me -c user.email=me@example.org"
    os.system(f"git init -q {repository} && touch {repository}/a && {git} add a && {git} commit -qm first")  # noqa: S605
    monkeypatch.chdir(repository)
    (repository / "a").write_text("changed")
    run = open_run(trained.connection, trained.settings, trained.paths.cache)
    started_at = trained.connection.client.get_run(run.run_id).data.tags["mlflow.source.git.commit"]
    os.system(f"{git} commit -qam 'the next idea'")  # noqa: S605
    registered = trained.register(wrong=4)
    assert registered["run_id"] == run.run_id
    assert (registered["commit"], registered["uncommitted_changes"]) == (started_at, True)
    assert started_at in (trained.paths.model_card / "model_card.md").read_text()


def test_the_decision_and_its_numbers_are_with_the_version_the_run_and_the_file(trained):
    trained.register(wrong=20)
    registered = trained.register(wrong=4)
    assert registered["champion"]
    assert trained.champion() == 2
    assert trained.tags(2)["gate"] == "passed"
    assert trained.tags(2)["gate.reason"] == registered["reason"]
    assert "0.9500 against 0.7500 of version 1: a gain of +0.2000" in registered["reason"]
    logged = trained.connection.client.get_run(registered["run_id"]).data.metrics
    for name in ("gain", "low", "high", "probability_better", "ece", "score", "challenger", "champion"):
        assert logged[f"gate.{name}"] == pytest.approx(registered["gate"][name])


@pytest.mark.parametrize("metric", ["grouped_cv.balanced_accuracy", "published.macro_f1"])
def test_a_model_that_is_not_surely_better_stays_challenger(trained, metric, caplog):
    caplog.set_level("INFO")
    trained.register(wrong=6, metric=metric)
    registered = trained.register(wrong=5, metric=metric)
    assert not registered["champion"]
    assert trained.champion() == 1
    assert trained.tags(2)["gate"] == "failed"
    assert registered["reason"].endswith("which is not more than the margin of 0.0000")
    assert 'python main.py promote 2 --because "..."' in caplog.text


@pytest.mark.parametrize(
    ("protocol", "right"), [("published", 76 / 80), ("without_exact_copies", 76 / 80), ("deduplicated", 76 / 79)]
)
def test_test_images_that_the_metrics_protocol_leaves_out_are_not_compared(trained, protocol, right):
    trained.register(wrong=20, metric=f"{protocol}.accuracy")
    registered = trained.register(wrong=4, metric=f"{protocol}.accuracy")
    assert registered["gate"]["challenger"] == pytest.approx(right)


def test_a_first_model_must_be_calibrated_and_honestly_trained_too(trained):
    registered = trained.register(wrong=4, ece=0.09, broken=("3 copies of test images are left in training",))
    assert not registered["champion"]
    assert registry.find(trained.connection, NAME, "champion") is None
    assert "0.090, above the bar of 0.050" in registered["reason"]
    assert "3 copies of test images are left in training" in registered["reason"]
    assert registry.promote(trained.connection, NAME, 1, "the only one there is") is None
    assert trained.champion() == 1


def test_a_champion_whose_predictions_are_gone_is_not_beaten(trained):
    first = trained.register(wrong=30)
    folder = Path(trained.connection.client.get_run(first["run_id"]).info.artifact_uri.removeprefix("file://"))
    (folder / "training" / "out_of_fold.csv").unlink()
    registered = trained.register(wrong=0)
    assert not registered["champion"]
    assert (
        "cannot be compared with champion version 1: its run keeps no training/out_of_fold.csv" in registered["reason"]
    )


def test_a_champion_whose_predictions_cannot_be_read_is_not_beaten(trained):
    first = trained.register(wrong=30)
    folder = Path(trained.connection.client.get_run(first["run_id"]).info.artifact_uri.removeprefix("file://"))
    (folder / "training" / "out_of_fold.csv").write_text("id,label\n")
    registered = trained.register(wrong=0)
    assert not registered["champion"]
    assert "expected the columns" in registered["reason"]


def test_a_registration_that_was_cut_short_after_its_decision_takes_its_own_place(trained, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(registration, "write_json", full)
        with pytest.raises(OSError, match="No space left"):
            trained.register(wrong=8)
    assert trained.champion() == 1
    again = trained.register(wrong=8)
    assert (again["version"], again["champion"], trained.champion()) == (2, True, 2)
    assert again["reason"].endswith("registered again in place of version 1, the same model")
    assert not trained.register(wrong=8)["champion"]


def test_a_version_that_was_promoted_by_hand_meanwhile_gives_its_place_to_no_twin(trained, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    trained.register(wrong=0)
    with monkeypatch.context() as patched:
        patched.setattr(registration, "write_json", full)
        with pytest.raises(OSError, match="No space left"):
            trained.register(wrong=30)
    registry.promote(trained.connection, NAME, 2, "a better eye")
    assert not trained.register(wrong=30)["champion"]
    assert trained.champion() == 2


def test_a_metric_that_the_run_has_not_measured_is_an_error_that_lists_those_that_it_has():
    measured = {"published": {name: {"value": 0.5} for name in OVERALL}}
    assert find_metric(measured, "published.loss") == 0.5
    with pytest.raises(ConfigError, match=r"expected one of published\.accuracy.*'deduplicated.accuracy'"):
        find_metric(measured, "deduplicated.accuracy")


def test_a_metric_that_cannot_be_said_keeps_a_version_from_being_champion_and_nothing_else(trained):
    """As ROC-AUC, where copies of training images leave one class in test."""
    registered = trained.register(wrong=4, unsaid=True)
    assert (registered["champion"], registered["score"]) == (False, None)
    assert "look at its evaluation" in registered["reason"]


def test_the_package_s_maps_are_told_from_those_of_training_images(trained):
    trained.register(wrong=0)
    served = Classifier.load(trained.paths.package, NAME, "1")
    training = [trained.paths.images / record.path for record in records("train")[:TRAINED]]
    batch = np.stack([preprocess(file.read_bytes(), served.spec.preprocessing) for file in training])
    maps = served.explain_pixels(batch)[1]
    assert np.abs(maps.mean(axis=0)).max() < 0.01 * np.abs(maps).max()
