import json
import logging
import os
import shutil
from dataclasses import replace

import finished_project
import pytest
import requests
from finished_project import EPOCHS, NAME

from cnnClassifier.errors import ConfigError, TrackingError
from cnnClassifier.tracking.client import import_mlflow
from cnnClassifier.tracking.connection import Connection, connect
from cnnClassifier.tracking.ending import UNCHANGED_TAG, failure_recorded, finish_skipped
from cnnClassifier.tracking.run import experiment_id, open_run, record_stage
from cnnClassifier.tracking.values import VALUE_LENGTH
from mlflow_servers import PASSWORD, USER, free_port

STAGES_WITH_FILES = ("data_ingestion", "data_audit", "prepare_base_model", "training", "evaluation")
LOGGED = {f"logged.{stage}" for stage in STAGES_WITH_FILES}


def test_a_pipelines_stages_are_one_complete_run(place, settings, paths):
    for epoch, metrics in enumerate(EPOCHS[:2]):
        open_run(place, settings, paths.cache).log_epoch(epoch, metrics)
    run = open_run(place, settings, paths.cache)
    run.complete(paths)
    run.complete(paths)
    run.finish()

    logged = place.client.get_run(run.run_id)
    assert logged.info.status == "FINISHED"
    assert logged.data.params["training.learning_rate"] == "0.001"
    assert len(logged.data.params["data_ingestion.classes.normal"]) == VALUE_LENGTH
    assert logged.data.metrics["published.accuracy.low"] == 0.8
    assert logged.data.metrics["parameters.trainable"] == 4
    assert logged.data.tags["data.manifest_sha256"].startswith(logged.inputs.dataset_inputs[0].dataset.digest)
    assert json.loads(logged.inputs.dataset_inputs[0].dataset.profile)["num_train"] == 2
    assert {name for name in logged.data.tags if name.startswith("logged.")} == LOGGED
    for name in ("loss", "val_loss"):
        history = place.client.get_metric_history(run.run_id, name)
        assert sorted((each.step, each.value) for each in history) == [(i, row[name]) for i, row in enumerate(EPOCHS)]
    assert _artifacts(place, run.run_id, "evaluation") == ["decision.json", "metrics.json", "plots", "predictions.csv"]
    assert _artifacts(place, run.run_id, "evaluation/plots") == ["roc.csv"]
    assert _artifacts(place, run.run_id, "data_ingestion") == ["classes.json", "manifest.csv", "rejected.csv"]


def test_a_run_says_where_it_comes_from(local, settings, paths, monkeypatch):
    monkeypatch.setenv("DVC_EXP_NAME", "brave-lung")
    run = local.client.get_run(open_run(local, settings, paths.cache).run_id)
    assert run.info.run_name == "brave-lung"
    assert run.data.tags["dvc.experiment"] == "brave-lung"
    assert {"version.python", "version.tensorflow", "version.mlflow", "version.cnnClassifier"} <= set(run.data.tags)
    assert run.data.tags["mlflow.source.name"] == "main.py"


def test_a_run_knows_its_commit_and_whether_files_were_changed(local, settings, paths, tmp_path, monkeypatch):
    repository = tmp_path / "repository"
    git = f"git -C {repository} -c user.name=me -c user.email=me@example.org"
    os.system(f"git init -q {repository} && touch {repository}/a && {git} add a && {git} commit -qm first")  # noqa: S605
    monkeypatch.chdir(repository)
    clean = local.client.get_run(open_run(local, settings, paths.cache).run_id).data.tags
    (repository / "a").write_text("changed")
    changed = finished_project.settings(epochs=9)
    dirty = local.client.get_run(open_run(local, changed, paths.cache).run_id).data.tags
    assert len(clean["mlflow.source.git.commit"]) == 40
    assert (clean["git.dirty"], dirty["git.dirty"]) == ("false", "true")


def test_a_run_that_is_taken_up_again_says_the_commit_of_then(local, settings, paths, tmp_path, monkeypatch):
    repository = tmp_path / "repository"
    git = f"git -C {repository} -c user.name=me -c user.email=me@example.org"
    os.system(f"git init -q {repository} && {git} commit -q --allow-empty -m first")  # noqa: S605
    monkeypatch.chdir(repository)
    run = open_run(local, settings, paths.cache)
    first = run.code()
    os.system(f"{git} commit -q --allow-empty -m mended")  # noqa: S605
    assert open_run(local, settings, paths.cache).code() == first  # while it goes on
    local.client.set_terminated(run.run_id, "FAILED")
    commit, changed = open_run(local, settings, paths.cache).code()
    assert (commit != first[0], changed) == (True, False)


def test_a_local_runs_artifacts_stand_beside_the_database(local, settings, paths, tmp_path):
    run = open_run(local, settings, paths.cache)
    assert local.client.get_run(run.run_id).info.artifact_uri.startswith(f"{tmp_path}/mlruns/{NAME}/")


def test_a_moved_project_does_not_write_where_it_was(local, settings, paths, tmp_path):
    open_run(local, settings, paths.cache).finish()
    before = sorted((tmp_path / "mlruns").rglob("*"))
    moved = tmp_path / "moved"
    moved.mkdir()
    shutil.copyfile(tmp_path / "mlflow.db", moved / "mlflow.db")
    there = Connection(f"sqlite:///{moved}/mlflow.db", moved / "mlruns")
    with pytest.raises(TrackingError, match=f"{tmp_path}/mlruns/{NAME}, not in {moved}/mlruns: .*Move it back; or"):
        open_run(there, settings, moved / "cache")
    assert sorted((tmp_path / "mlruns").rglob("*")) == before


def test_a_project_may_be_reached_by_a_link_and_its_artifacts_lie_behind_one(local, settings, paths, tmp_path):
    open_run(local, settings, paths.cache).finish()
    (tmp_path / "mlruns").rename(tmp_path / "larger disk")
    (tmp_path / "mlruns").symlink_to(tmp_path / "larger disk")
    (tmp_path / "link").symlink_to(tmp_path)
    for root in (tmp_path, tmp_path / "link"):
        open_run(Connection(f"sqlite:///{root}/mlflow.db", root / "mlruns"), settings, root / "cache").finish()


@pytest.mark.parametrize("chosen", ["s3://bucket/mlruns/ct", "/larger disk/ct", "mlflow-artifacts:/mlruns/ct"])
def test_an_experiments_artifacts_may_lie_where_somebody_chose(local, chosen):
    made = local.client.create_experiment(NAME, artifact_location=chosen)
    assert experiment_id(local, NAME) == made


def test_after_registration_the_same_settings_start_a_new_run(local, settings, paths):
    first = open_run(local, settings, paths.cache)
    first.finish()
    assert open_run(local, settings, paths.cache).run_id != first.run_id


def test_other_parameters_start_a_new_run_and_close_the_abandoned(local, settings, paths):
    first = open_run(local, settings, paths.cache)
    second = open_run(local, finished_project.settings(epochs=9), paths.cache)
    assert second.run_id != first.run_id
    assert local.client.get_run(first.run_id).info.status == "KILLED"


def test_a_failed_run_goes_on_when_the_pipeline_is_repeated(local, settings, paths):
    first = open_run(local, settings, paths.cache)
    local.client.set_terminated(first.run_id, "FAILED")
    assert open_run(local, settings, paths.cache).run_id == first.run_id
    assert local.client.get_run(first.run_id).info.status == "RUNNING"


@pytest.mark.parametrize(("error", "status"), [(ConfigError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_run_whose_stage_fails_says_so_at_once_and_goes_on_when_repeated(local, settings, paths, error, status):
    run = open_run(local, settings, paths.cache)
    with pytest.raises(error), failure_recorded(run):
        raise error
    assert local.client.get_run(run.run_id).info.status == status
    assert open_run(local, settings, paths.cache).run_id == run.run_id


def test_a_lost_server_does_not_hide_why_a_stage_failed(settings, paths, tracking, local, caplog):
    run = open_run(local, settings, paths.cache)
    os.environ |= {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{free_port()}"}
    lost = replace(run, connection=connect(tracking))
    with pytest.raises(ConfigError, match="unknown layer"), failure_recorded(lost):
        raise ConfigError("unknown layer")
    assert "cannot mark the run as FAILED" in caplog.text


def test_a_run_whose_registration_was_skipped_is_completed_once_and_names_the_version(place, settings, paths):
    registered = {"name": NAME, "version": 4, "run_id": "of-before"}
    paths.registration.write_text(json.dumps(registered))
    paths.model_card.mkdir()
    (paths.model_card / "model_card.md").write_text("# Card")
    run = open_run(place, settings, paths.cache)
    run.log_stage("training", paths)
    finish_skipped(place, settings, paths)

    logged = place.client.get_run(run.run_id)
    assert logged.info.status == "FINISHED"
    assert logged.data.metrics["published.accuracy"] == 0.9
    assert logged.data.tags[UNCHANGED_TAG] == f"{NAME} version 4 of run of-before"
    assert {name for name in logged.data.tags if name.startswith("logged.")} == LOGGED | {"logged.registration"}
    record = paths.cache / "tracking" / "run.json"
    told = record.read_bytes()
    finish_skipped(place, settings, paths)
    assert record.read_bytes() == told  # no further run was started


def test_another_server_gets_its_own_run(local, settings, paths, tmp_path, tracking):
    first = open_run(local, settings, paths.cache)
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{tmp_path}/mlflow.db?timeout=30"
    assert open_run(connect(tracking), settings, paths.cache).run_id != first.run_id


def test_a_run_deleted_on_the_server_is_started_again(place, settings, paths):
    first = open_run(place, settings, paths.cache)
    place.client.delete_run(first.run_id)
    second = open_run(place, settings, paths.cache)
    assert second.run_id != first.run_id
    second.finish()


def test_an_experiment_in_the_servers_bin_is_told_with_how_to_restore_it(local, settings, paths):
    open_run(local, settings, paths.cache)
    found = local.client.get_experiment_by_name(NAME)
    local.client.delete_experiment(found.experiment_id)
    with pytest.raises(TrackingError, match=f"{NAME}.*mlflow experiments restore -x {found.experiment_id}"):
        open_run(local, settings, paths.cache)


def test_a_damaged_record_is_as_good_as_none(local, settings, paths):
    record = paths.cache / "tracking" / "run.json"
    record.parent.mkdir(parents=True)
    record.write_text('{"half": ')
    assert open_run(local, settings, paths.cache).run_id in record.read_text()


def test_a_stage_that_ran_again_is_logged_again(local, settings, paths):
    run = open_run(local, settings, paths.cache)
    run.log_stage("evaluation", paths)
    paths.metrics.write_text(json.dumps({"published": {"accuracy": {"value": 0.95}}}))
    run.log_stage("evaluation", paths)
    assert local.client.get_run(run.run_id).data.metrics["published.accuracy"] == 0.95


def test_an_epoch_trained_again_with_the_same_result_stands_once(local, settings, paths):
    for value in (0.5, 0.5, 0.7):
        open_run(local, settings, paths.cache).log_epoch(0, {"loss": value})
    run = open_run(local, settings, paths.cache)
    assert [each.value for each in local.client.get_metric_history(run.run_id, "loss")] == [0.5, 0.7]


def test_a_stage_without_files_is_an_error(local, settings, paths):
    with pytest.raises(TrackingError, match=r"registration: .*registration\.json is not there; run the stage first"):
        open_run(local, settings, paths.cache).log_stage("registration", paths)


def test_a_finished_stage_costs_only_a_warning_when_the_server_is_lost(settings, paths, caplog, tracking):
    os.environ |= {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{free_port()}", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    with caplog.at_level(logging.WARNING, "cnnClassifier"):
        record_stage(connect(tracking), settings, paths, "evaluation")
    [message] = caplog.messages
    assert "does not answer" in message
    assert "\n" not in message


@pytest.mark.server
def test_the_servers_page_of_a_run_has_what_it_asks_for(servers):
    """The page asks /graphql, which breaks when the lock falls back to an ancient graphene."""
    servers["auth"].wait()
    answer = requests.post(
        f"{servers['auth'].uri}/graphql", json={"query": "{ __typename }"}, auth=(USER, PASSWORD), timeout=60
    )
    assert answer.json() == {"data": {"__typename": "Query"}, "errors": None}


def _artifacts(place, run_id, folder):
    """By address: `list_artifacts` of a run asks an old server for logged models, which it does not know."""
    uri = f"{place.client.get_run(run_id).info.artifact_uri}/{folder}"
    listed = import_mlflow().artifacts.list_artifacts(artifact_uri=uri, tracking_uri=place.uri)
    return sorted(each.path.rpartition("/")[2] for each in listed)
