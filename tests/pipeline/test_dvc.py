"""The pipeline as DVC users use it: repro, exp, metrics, plots, push and pull."""

import json
import re
import subprocess

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from project import Project
from tiny_pipeline import contents

pytestmark = pytest.mark.pipeline

STAGES_RUN = re.compile(r"Running stage '(\w+)'")


@pytest.fixture(autouse=True)
def committed_state(pipeline: Project):
    yield
    pipeline.run("git", "checkout", "--quiet", "--force", "main")
    pipeline.run("git", "reset", "--quiet", "--hard")
    pipeline.dvc("checkout", "--force", "--quiet", check=False)


def stages_run(done: subprocess.CompletedProcess[str]) -> list[str]:
    return STAGES_RUN.findall(done.stdout)


def concerns_params(reason: object) -> bool:
    return isinstance(reason, dict) and "params.yaml" in reason.get("changed deps", {})


def test_a_second_repro_runs_nothing(pipeline):
    done = pipeline.dvc("repro")
    assert stages_run(done) == []
    assert "up to date" in done.stdout


@pytest.mark.parametrize(
    ("change", "first"),
    [
        ({"data_audit__conflicts": "keep"}, "data_audit"),
        ({"prepare_base_model__head__dropout": 0.3}, "prepare_base_model"),
        ({"training__epochs": 3}, "training"),
        ({"evaluation__confidence": 0.9}, "evaluation"),
        ({"registration__margin": 0.1}, "registration"),
    ],
)
def test_a_changed_parameter_concerns_its_own_stage_alone(pipeline, change, first):
    pipeline.set_params(**change)
    status = json.loads(pipeline.dvc("status", "--json").stdout)
    changed = {stage for stage, reasons in status.items() if any(concerns_params(reason) for reason in reasons)}
    assert changed == {first}


def test_a_changed_parameter_reruns_its_stage_and_those_after_it(pipeline):
    pipeline.set_params(evaluation__resamples=150)
    assert stages_run(pipeline.dvc("repro")) == ["evaluation", "registration"]
    assert stages_run(pipeline.dvc("repro")) == []


def last_run(pipeline: Project) -> Run:
    client = MlflowClient(f"sqlite:///{pipeline.root}/mlflow.db")
    experiment = client.get_experiment_by_name("phantom")
    return client.search_runs([experiment.experiment_id], order_by=["attributes.start_time DESC"])[0]


def test_a_run_whose_stage_fails_is_failed_at_once(pipeline):
    pipeline.set_params(prepare_base_model__freeze="block9_pool")
    done = pipeline.main(check=False)
    assert done.returncode == 2
    assert "block9_pool" in done.stderr
    run = last_run(pipeline)
    assert run.data.params["prepare_base_model.freeze"] == "block9_pool"
    assert run.info.status == "FAILED"


def test_a_run_that_trained_the_same_model_again_is_finished_and_has_all_results(pipeline):
    """DVC skips evaluation and registration: nothing that they read has changed."""
    pipeline.set_params(training__patience=11)
    assert stages_run(pipeline.main()) == ["training"]
    run = last_run(pipeline)
    assert run.data.params["training.patience"] == "11"
    assert run.info.status == "FINISHED"
    assert "grouped_cv.balanced_accuracy" in run.data.metrics
    assert run.data.tags["registration.unchanged"].startswith("phantom version 1 of run ")


@pytest.mark.parametrize(
    ("change", "stage", "made"),
    [
        ({"data_ingestion__source__image_size": 64}, "data_ingestion", "data_ingestion"),
        ({"prepare_base_model__preprocessing__image_size": 48}, "prepare_base_model", "prepare_base_model/base_model"),
    ],
)
def test_a_stage_whose_only_change_is_the_size_of_images_is_not_taken_from_the_cache_of_runs(
    pipeline, change, stage, made
):
    """DVC overlooks parameters called `size` there: it would say that the stage is cached."""
    before = contents(pipeline.root / "artifacts" / made)
    pipeline.set_params(**change)
    assert stages_run(pipeline.dvc("repro", stage)) == [stage]
    assert contents(pipeline.root / "artifacts" / made) != before


def test_an_experiment_overrides_a_value_and_can_be_compared(pipeline):
    pipeline.dvc("exp", "run", "--name", "wider", "--set-param", "evaluation.confidence=0.9")
    shown = json.loads(pipeline.dvc("exp", "show", "--json").stdout)
    names = [experiment["name"] for commit in shown for experiment in commit.get("experiments") or []]
    assert "wider" in names
    difference = json.loads(pipeline.dvc("metrics", "diff", "main", "--json").stdout)
    assert "published.loss.low" in difference["artifacts/evaluation/metrics.json"]
    pipeline.dvc("plots", "diff", "main", "--out", "dvc_plots")
    assert "vegaEmbed" in (pipeline.root / "dvc_plots" / "index.html").read_text()
    pipeline.dvc("plots", "show", "--out", "dvc_plots")
    assert "learning_curves" in (pipeline.root / "dvc_plots" / "index.html").read_text()


def test_push_and_pull_bring_a_fresh_clone_to_where_this_one_is(pipeline, tmp_path):
    remote = tmp_path / "remote"
    pipeline.dvc("remote", "add", "--local", "--force", "--default", "store", str(remote))
    pipeline.dvc("push")
    clone = Project(tmp_path / "clone", {**pipeline.environment, "PYTHONPATH": str(tmp_path / "clone" / "src")})
    subprocess.run(["git", "clone", "--quiet", pipeline.root, clone.root], check=True)
    clone.dvc("remote", "add", "--local", "--default", "store", str(remote))
    clone.dvc("pull")
    ours, theirs = (
        (project.root / "artifacts/training/model/model.weights.h5").read_bytes() for project in (pipeline, clone)
    )
    assert ours == theirs
    assert stages_run(clone.dvc("repro")) == []
    # The clone's own, empty registry has to be told of the model.
    assert stages_run(clone.main()) == ["registration"]
    assert json.loads((clone.root / "artifacts/registration/registration.json").read_text())["champion"] is True
