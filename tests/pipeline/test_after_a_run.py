"""What a finished pipeline leaves: a run with everything in it, a champion that predicts, a page that serves it."""

import json
import sys

import pytest
from mlflow import MlflowClient

from cnnClassifier.changed_settings import SECTIONS, warn_of_changed_settings
from cnnClassifier.config.loading import load_settings
from project import Project

pytestmark = pytest.mark.pipeline


@pytest.fixture(scope="module")
def client(pipeline: Project) -> MlflowClient:
    return MlflowClient(f"sqlite:///{pipeline.root}/mlflow.db")


@pytest.fixture(scope="module")
def registered(pipeline: Project) -> dict:
    return json.loads((pipeline.root / "artifacts/registration/registration.json").read_text())


def first_run(client: MlflowClient):
    experiment = client.get_experiment_by_name("phantom")
    runs = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])
    return runs[0]


def test_all_stages_log_to_one_finished_run(client):
    run = first_run(client)
    assert run.info.status == "FINISHED"
    assert run.data.params["training.epochs"] == "2"
    assert run.data.params["data_ingestion.source.kind"] == "phantom"
    assert {"grouped_cv.balanced_accuracy", "calibration.ece.after", "gate.ece"} <= set(run.data.metrics)
    assert len(client.get_metric_history(run.info.run_id, "val_loss")) == 2
    assert run.data.tags["data.manifest_sha256"]
    assert run.data.tags["mlflow.source.git.commit"]
    folders = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
    assert {"data_ingestion", "data_audit", "training", "evaluation", "registration", "model"} <= folders
    kept = {artifact.path for artifact in client.list_artifacts(run.info.run_id, "training")}
    assert "training/out_of_fold.csv" in kept  # a later challenger is compared with these


def test_the_champion_predicts_a_real_file_through_mlflow(pipeline, client, registered):
    version = client.get_model_version_by_alias("phantom", "champion")
    assert client.get_registered_model("phantom").name == registered["name"]
    image = next((pipeline.root / "artifacts/data_ingestion/images/test/normal").glob("*.png"))
    done = pipeline.run(
        sys.executable, "-c",
        "import sys, mlflow, pandas\n"
        f"model = mlflow.pyfunc.load_model('models:/phantom/{version.version}')\n"
        "answer = model.predict(pandas.DataFrame({'image': [open(sys.argv[1], 'rb').read()]}))\n"
        "print(answer.to_json(orient='records'))",
        str(image),
    )  # fmt: skip
    answer = json.loads(done.stdout.strip().splitlines()[-1])[0]
    probabilities = [value for name, value in answer.items() if name.startswith("probability_")]
    assert sum(probabilities) == pytest.approx(1, abs=1e-4)
    assert answer["version"] == str(version.version)


def test_results_are_printed_as_a_table_that_says_synthetic(pipeline):
    shown = pipeline.main("results").stdout
    assert "SYNTHETIC" in shown
    assert "test split" in shown
    assert "published test split" not in shown
    assert "grouped" in shown
    assert "champion" in shown
    assert "make serve" in shown


def test_a_misspelt_parameter_is_one_line_and_exit_code_2(pipeline):
    params = pipeline.root / "params.yaml"
    before = params.read_text()
    params.write_text(before.replace("epochs:", "epoch:"))
    done = pipeline.main("training", check=False)
    params.write_text(before)
    assert done.returncode == 2
    assert "training.epoch: unknown key" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_server_that_is_down_is_told_before_anything_runs(pipeline):
    environment = {**pipeline.environment, "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    done = Project(pipeline.root, environment).main(check=False)
    assert done.returncode == 2
    assert "127.0.0.1:9" in done.stderr
    assert "Running stage" not in done.stdout
    assert len(done.stderr.strip().splitlines()) == 1


def test_dvcs_own_lock_tells_which_settings_changed_since_it_ran(pipeline, monkeypatch, caplog):
    monkeypatch.chdir(pipeline.root)
    settings = load_settings()
    warn_of_changed_settings(settings, *SECTIONS)
    assert caplog.messages == []
    audit, training = settings.data_audit.model_copy(update={"near_copy": 0.99}), settings.training
    training = training.model_copy(update={"folds": training.folds + 1})
    warn_of_changed_settings(settings.model_copy(update={"data_audit": audit, "training": training}), *SECTIONS)
    (said,) = caplog.messages
    assert said.startswith("params.yaml: data_audit, training changed since")


def test_what_a_stage_left_since_is_not_told_as_what_is_registered(pipeline):
    artifacts = pipeline.root / "artifacts"
    named = {"metrics": "evaluation/metrics.json", "out_of_fold": "training/out_of_fold.csv"}
    before = {file: file.read_bytes() for file in map(artifacts.joinpath, named.values())}
    images = "artifacts/data_ingestion/images/train"
    evaluate = ["evaluate", "--model", "phantom", "--data", images, "--resamples", "100", "--out"]
    known, unknown = pipeline.root / "known", pipeline.root / "unknown"
    try:
        pipeline.main(*evaluate, str(known))
        for file in before:
            file.write_bytes(before[file] + b"\n")
        pipeline.main(*evaluate, str(unknown))
        done = pipeline.main("results", check=False)
    finally:
        for file, content in before.items():
            file.unlink()  # it may be a link into DVC's cache
            file.write_bytes(content)
    counted = [json.loads((out / "metrics.json").read_text())["copies_of_training_images"] for out in (known, unknown)]
    assert counted[0] > 0
    assert counted[1] is None
    assert done.returncode == 2
    assert "metrics.json is of a later run" in done.stderr.splitlines()[-1]
