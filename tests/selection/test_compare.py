"""Candidates are judged on the same folds, each once; the best one's parameters become the active ones."""

import csv
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from selection_data import METRIC

from cnnClassifier.config.loading import load_project, load_settings, read_yaml
from cnnClassifier.errors import ConfigError, WeightsError
from cnnClassifier.metrics.predictions import read_predictions
from cnnClassifier.selection.candidates import _key, judge_all
from cnnClassifier.selection.handover import take_over
from cnnClassifier.selection.plan import comparison_file, load_candidates
from cnnClassifier.sweep.judging import judge, open_bench
from imports import ROOT

POOLED = {"prepare_base_model": {"head": {"pooling": "max"}}}


def kept(project, name: str) -> Path:
    (folder,) = (project.root / ".cache/cnnClassifier/compare").glob(f"{name}-*")
    return folder


def test_all_are_judged_on_the_same_folds_and_the_table_says_what_of_each(project, capsys):
    best = project.compare()
    shown = capsys.readouterr().out
    tables = [read_predictions(kept(project, name) / "out_of_fold.csv") for name in ("as_it_is", "pooled")]
    assert tables[0].ids == tables[1].ids
    np.testing.assert_array_equal(tables[0].folds, tables[1].folds)
    assert not np.array_equal(tables[0].probabilities, tables[1].probabilities)
    ((file),) = project.root.glob(".cache/cnnClassifier/compare/tiny-*/candidates.csv")
    with file.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert rows[0]["candidate"] == best.name
    assert float(rows[0][METRIC]) >= float(rows[1][METRIC])
    assert float(rows[0][f"{METRIC}.low"]) <= float(rows[0][METRIC]) <= float(rows[0][f"{METRIC}.high"])
    assert int(rows[0]["parameters"]) > int(rows[0]["trainable"]) > 0
    assert 0 < float(rows[1]["p"]) <= 1
    assert f"Best: {best.name}" in shown
    assert "corrected for 1 pair (Holm)" in shown


def test_a_finished_candidate_is_not_trained_again_and_mlflow_has_each_once(project, caplog):
    with caplog.at_level(logging.INFO):
        project.compare()
        first = (kept(project, "pooled") / "result.json").read_bytes()
        project.write_candidates({"as_it_is": {}, "pooled": POOLED, "slow": {"training.learning_rate": 1e-7}})
        caplog.clear()
        project.compare()
    said = [record.getMessage() for record in caplog.records if record.getMessage().startswith("candidate ")]
    assert [line.rpartition(": ")[2][:7] for line in said] == ["trained", "trained", "trainin"]
    assert (kept(project, "pooled") / "result.json").read_bytes() == first
    client = project.connection.client
    experiment = client.get_experiment_by_name("tiny").experiment_id
    runs = client.search_runs([experiment])
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [
        sorted(r.data.tags["compare.candidate"] for r in runs if r.data.tags.get("mlflow.parentRunId") == p.info.run_id)
        for p in parents
    ]
    assert sorted(children, key=len) == [["as_it_is", "pooled"], ["as_it_is", "pooled", "slow"]]
    assert {parent.info.status for parent in parents} == {"FINISHED"}
    assert all(f"best.{METRIC}" in parent.data.metrics for parent in parents)


def test_a_second_comparison_says_that_another_is_at_work_and_disturbs_nothing(project, monkeypatch):
    judged: list[Path] = []

    def ask_meanwhile(settings, bench, repeats, scratch):
        judged.append(scratch)
        if len(judged) == 1:
            with pytest.raises(ConfigError, match=r"another `compare` is at work.*wait until it has ended"):
                project.compare()
        return judge(settings, bench, repeats, scratch)

    monkeypatch.setattr("cnnClassifier.selection.candidates.judge", ask_meanwhile)
    project.compare()
    assert len(judged) == 2
    client = project.connection.client
    runs = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    assert sorted(run.data.tags.get("compare.candidate", "") for run in runs) == ["", "as_it_is", "pooled"]
    assert {run.info.status for run in runs} == {"FINISHED"}
    project.compare()  # the lock is let go


def test_other_parameters_or_images_are_another_candidate(project):
    settings, paths = load_settings(), load_project().paths
    candidates = load_candidates(comparison_file("tiny"), settings)
    bench = open_bench(settings, paths)
    list(judge_all(candidates[:1], bench, project.root / "kept"))
    fewer = replace(bench, records=bench.records[:-1])
    list(judge_all(candidates[:1], fewer, project.root / "kept"))
    assert len(list((project.root / "kept").iterdir())) == 2
    # Its table has other columns, or its rows another order: beside an older one it would be read wrongly.
    turned = replace(bench, classes=replace(bench.classes, names=bench.classes.names[::-1]))
    renamed = replace(bench, records=[replace(record, path=f"x/{record.path}") for record in bench.records])
    assert len({_key(candidates[0], each) for each in (bench, fewer, turned, renamed)}) == 4


def test_a_candidate_that_cannot_be_built_is_told_before_any_is_trained(project):
    project.write_candidates(
        {"as_it_is": {}, "heavy": {"prepare_base_model": {"backbone": "VGG16", "weights": "no.h5"}}}
    )
    with pytest.raises(WeightsError, match=r"candidate heavy: prepare_base_model.weights: no.h5 is not a file"):
        project.compare()
    assert not list(project.root.glob(".cache/cnnClassifier/compare/*/result.json"))


def test_the_winners_values_become_the_active_parameters_and_nothing_else_changes(project):
    before = read_yaml(Path("params.yaml")).to_dict()
    project.write_candidates({"as_it_is": {}, "other": {**POOLED, "training.learning_rate": 0.02}})
    as_it_is, other = load_candidates(comparison_file("tiny"), load_settings())
    take_over(as_it_is, Path("params.yaml"))
    assert read_yaml(Path("params.yaml")).to_dict() == before
    take_over(other, Path("params.yaml"))
    assert load_settings() == other.settings
    before["prepare_base_model"]["head"]["pooling"], before["training"]["learning_rate"] = "max", 0.02
    assert read_yaml(Path("params.yaml")).to_dict() == before


# --- the file -----------------------------------------------------------------------------


@pytest.mark.parametrize("file", sorted((ROOT / "config/compare").glob("*.yaml")), ids=lambda file: file.stem)
def test_shipped_candidates_fit_the_experiment_they_are_called_after(file):
    candidates = load_candidates(file, load_settings(ROOT / f"config/experiments/{file.stem}.yaml"))
    assert len(candidates) >= 3


@pytest.mark.parametrize(
    ("candidates", "said"),
    [
        ({"alone": {}}, "candidates"),
        ({"a": {}, "b": {}}, "candidates.b: has the same parameters as a"),
        ({"a": {}, "b": {"evaluation.coverage": 0.5}}, "candidates.b: a candidate changes prepare_base_model and"),
        ({"a": {}, "b": {"training": {"seed": 9}}}, "candidates.b: training.seed: the same for all"),
        ({"a": {}, "b": {"training.lerning_rate": 9}}, "candidates.b: training.lerning_rate: params.yaml has no such"),
        ({"a": {}, "b": {"training": {"epochs": 0}}}, "candidates.b: training.epochs: Input should be greater than 0"),
        ({"a": {}, "b c": {}}, "candidates.b c"),
    ],
)
def test_a_mistake_is_one_line_with_file_and_candidate(project, candidates, said):
    project.write_candidates(candidates)
    with pytest.raises(ConfigError) as told:
        load_candidates(comparison_file("tiny"), load_settings())
    assert str(told.value).startswith("config/compare/tiny.yaml: ")
    assert said in str(told.value)


def test_an_unknown_name_lists_those_there_are(project):
    with pytest.raises(ConfigError, match="there are: tiny"):
        comparison_file("huge")
    assert comparison_file("elsewhere/mine.yaml") == Path("elsewhere/mine.yaml")


def test_what_is_not_changed_in_params_stays_to_the_letter(project):
    """Comments, anchors, flow style: a reader finds the file as it was but for the winner's values."""
    shipped = (ROOT / "config/experiments/chest_ct.yaml").read_text()
    Path("params.yaml").write_text(shipped)
    base = load_settings()
    _, plain, *_, small = load_candidates(ROOT / "config/compare/chest_ct.yaml", base)
    take_over(plain, Path("params.yaml"))
    lines, before = Path("params.yaml").read_text().splitlines(), shipped.splitlines()
    assert [line.partition("#")[0].strip() for line in lines if line not in before] == ["also: []"]
    assert all("also:" in line or "block4_pool" in line for line in before if line not in lines)
    Path("params.yaml").write_text(shipped)
    take_over(small, Path("params.yaml"))
    assert load_settings() == small.settings
    assert "# Four-class chest CT (Kaggle, 1000 images)." in Path("params.yaml").read_text()
