"""Robustness: who is asked, by a model that saw nobody of theirs, and what the table makes of the answers."""

import csv
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest

from cnnClassifier import robustness
from cnnClassifier.config.data import DataAuditConfig, DataIngestionConfig
from cnnClassifier.config.types import EvaluationConfig, Paths, RegistrationConfig, Settings
from cnnClassifier.corruptions import CORRUPTIONS, CorruptedView, corrupted_views
from cnnClassifier.datasets.manifest import ImageRecord, read_manifest, write_manifest
from cnnClassifier.errors import DataError
from cnnClassifier.features.extraction import FeatureExtractor
from cnnClassifier.files import read_json
from cnnClassifier.recipe import Recipe
from cnnClassifier.robustness import Answers, measure_robustness, sample_by_group, table, worst_mild
from tiny_pipeline import CLASSES, SPLITS, base_model, ingest_and_audit, prepare, train, training, write_data

HOW = EvaluationConfig(seed=1, resamples=400)
NOISE = CORRUPTIONS[3]


def record(number: int, label: str, group: str) -> ImageRecord:
    digest = f"{number:064x}"
    return ImageRecord(digest, f"{number}.png", label, "train", group, digest, digest, 8, 8, "L", "PNG", 1)


def many() -> list[ImageRecord]:
    """Groups of 1 to 6 images: thirty of class a, four of class b."""
    groups = [("a", f"a{number}") for number in range(30)] + [("b", f"b{number}") for number in range(4)]
    sizes = np.random.default_rng(0).integers(1, 7, len(groups))
    named = [group for group, size in zip(groups, sizes, strict=True) for _ in range(size)]
    return [record(number, label, group) for number, (label, group) in enumerate(named)]


# --- who is asked -------------------------------------------------------------------------


def test_a_sample_asks_each_group_before_any_twice_and_classes_in_turn():
    small, medium = sample_by_group(many(), 8, seed=1), sample_by_group(many(), 34, seed=1)
    assert Counter(each.label for each in small) == {"a": 4, "b": 4}
    assert len({each.group for each in medium}) == len(medium) == 34
    assert small == [each for each in many() if each in small]  # in their order


def test_a_larger_sample_holds_the_smaller_and_no_more_than_there_are():
    samples = [set(sample_by_group(many(), count, seed=3)) for count in (10, 20, 50, 5000)]
    assert all(small < large for small, large in pairwise(samples))
    assert samples[-1] == set(many())
    assert samples[0] != set(sample_by_group(many(), 10, seed=4))


# --- the table ----------------------------------------------------------------------------


def said(*classes: int) -> np.ndarray:
    return np.eye(2)[list(classes)] * 0.8 + 0.1


def answers(corrupted: np.ndarray, strength: int = 1) -> Answers:
    truth = np.array([0] * 6 + [1] * 2)
    groups = np.array(["p", "p", "q", "q", "r", "r", "s", "t"])
    return Answers(truth, groups, said(0, 0, 0, 0, 0, 1, 1, 0), {CorruptedView(NOISE, strength): corrupted})


def test_the_table_says_what_is_lost_and_how_many_answers_stay():
    clean, row = table(answers(said(0, 0, 1, 1, 0, 0, 1, 0)), HOW)
    assert clean["accuracy"] == 0.75
    assert clean["accuracy_change"] == clean["accuracy_change_low"] == 0
    assert (row["corruption"], row["strength"], row["value"]) == ("noise", 1, NOISE.values[0])
    assert row["accuracy"] == pytest.approx(5 / 8)
    assert row["accuracy_change"] == pytest.approx(-1 / 8)
    assert row["balanced_accuracy"] == pytest.approx((4 / 6 + 1 / 2) / 2, abs=1e-6)
    assert row["balanced_accuracy_change"] == pytest.approx((4 / 6 - 5 / 6) / 2, abs=1e-6)
    assert row["same_answer"] == pytest.approx(5 / 8)
    assert row["accuracy_change_low"] < -1 / 8 < row["accuracy_change_high"]


def test_the_same_answers_cost_nothing_however_the_groups_are_drawn():
    same = answers(said(0, 0, 0, 0, 0, 1, 1, 0))
    _, row = table(same, HOW)
    assert row["accuracy_change_low"] == row["accuracy_change_high"] == 0
    assert row["same_answer"] == 1


def test_a_change_is_judged_in_pairs_so_its_interval_is_narrower_than_that_of_either():
    draw = np.random.default_rng(0)
    truth, groups = draw.integers(0, 2, 200), np.repeat(np.arange(40).astype(str), 5)
    right = np.repeat(draw.random(40) < 0.5, 5)
    clean = np.where(right, truth, 1 - truth)
    corrupted = clean.copy()
    corrupted[:4] = 1 - corrupted[:4]
    _, row = table(Answers(truth, groups, said(*clean), {CorruptedView(NOISE, 1): said(*corrupted)}), HOW)
    assert row["accuracy_change_high"] - row["accuracy_change_low"] < 0.1


def test_the_worst_mild_corruption_is_not_a_strong_one():
    mild, strong = table(answers(said(0, 0, 0, 0, 0, 0, 0, 0), 2), HOW), table(answers(said(*[1] * 8), 3), HOW)
    assert worst_mild([*mild, strong[1]]) == mild[1]
    with pytest.raises(DataError, match="no mild corruption"):
        worst_mild(strong)


# --- measured on a tiny pipeline ----------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    folder = tmp_path_factory.mktemp("robustness")
    paths = ingest_and_audit(folder / "project", write_data(folder / "data"))
    prepare(paths)
    train(paths, epochs=15, patience=15)
    return paths


@pytest.fixture
def settings(trained: Paths) -> Settings:
    source, classes = {"kind": "folder", "path": trained.images}, {name: [name] for name in CLASSES}
    return Settings(
        data_ingestion=DataIngestionConfig(seed=1, source=source, classes=classes, splits=SPLITS),
        data_audit=DataAuditConfig(),
        prepare_base_model=base_model(),
        training=training(epochs=15, patience=15),
        evaluation=HOW,
        registration=RegistrationConfig(name="tiny", description="tiny"),
    )


@dataclass
class Watched(Recipe):
    """Remembers of which groups it was fitted and whom it was asked about afterwards."""

    fits: list[tuple[set[str], set[str]]] = field(default_factory=list)

    def fit_for(self, records, epochs, checkpoint):
        self.fits.append(({each.group for each in records}, set()))
        super().fit_for(records, epochs, checkpoint)

    def predict(self, records, *view):
        self.fits[-1][1].update(each.group for each in records)
        return super().predict(records, *view)


def test_nobody_is_predicted_by_a_model_that_saw_their_group(trained, settings, monkeypatch):
    made: list[Watched] = []

    def watched(*arguments: object) -> Watched:
        made.append(Watched(*arguments))
        return made[-1]

    monkeypatch.setattr(robustness, "Recipe", watched)
    rows = measure_robustness(settings, trained, "train", images=12, strongest=1, deals=2)
    assert len(made[0].fits) == 4  # two folds, dealt twice
    assert all(asked and not fitted & asked for fitted, asked in made[0].fits)
    groups = {each.group for each in read_manifest(trained.audited_manifest) if each.split != "test"}
    assert all(fitted < groups for fitted, _ in made[0].fits)
    assert len(rows) == 1 + 9
    assert rows[0]["accuracy"] > 0.6


def test_the_trained_model_is_asked_about_the_test_split_and_its_table_is_written(trained, settings):
    rows = measure_robustness(settings, trained, "test", images=100, strongest=2, deals=1)
    written = read_json(trained.robustness / "test" / "robustness.json")
    assert written["rows"] == rows
    assert written["images"] == sum(each.split == "test" for each in read_manifest(trained.audited_manifest))
    assert written["worst_mild"]["accuracy_change"] == min(row["accuracy_change"] for row in rows)
    with (trained.robustness / "test" / "robustness.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(rows) == 1 + 2 * 9
    assert (trained.robustness / "test" / "robustness.png").stat().st_size > 10_000


def test_what_was_looked_at_before_a_kill_is_not_looked_at_again(trained, settings, monkeypatch):
    looked: list[str] = []
    look = FeatureExtractor._view_of
    monkeypatch.setattr(
        FeatureExtractor, "_view_of", lambda self, each, view: looked.append(view.key) or look(self, each, view)
    )
    monkeypatch.setattr(robustness, "ask", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        measure_robustness(settings, trained, "test", images=3, strongest=5, deals=1)
    first = len(looked)
    monkeypatch.undo()
    monkeypatch.setattr(FeatureExtractor, "_view_of", lambda *_: pytest.fail("looked again"))
    measure_robustness(settings, trained, "test", images=3, strongest=5, deals=1)
    assert first <= 3 * len(corrupted_views())


def test_before_the_audit_the_error_says_which_stage_is_missing(settings, trained, tmp_path):
    paths = trained.model_copy(update={"audited_manifest": tmp_path / "manifest.csv"})
    with pytest.raises(DataError, match="no manifest"):
        measure_robustness(settings, paths, "train", images=6, strongest=1, deals=1)


def test_without_test_images_the_error_says_so_and_what_there_is(settings, trained, tmp_path):
    paths = trained.model_copy(update={"audited_manifest": tmp_path / "manifest.csv"})
    records = [each for each in read_manifest(trained.audited_manifest) if each.split != "test"]
    write_manifest(records, paths.audited_manifest)
    with pytest.raises(DataError, match=r"manifest\.csv: no image is in the test split; .*--split train"):
        measure_robustness(settings, paths, "test", images=6, strongest=1, deals=1)
