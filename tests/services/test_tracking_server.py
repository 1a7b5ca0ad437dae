"""A team's MLflow server on PostgreSQL and S3, started by one command: the pipeline, the app, a laptop's registry."""

import base64
import json
import os
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from engines import team_server
from mlflow import MlflowClient

from cnnClassifier.backup.command import backup, restore
from cnnClassifier.backup.stores import choose_store
from cnnClassifier.backup.tables import snapshot
from cnnClassifier.config.loading import load_project
from cnnClassifier.errors import TrackingError
from cnnClassifier.tracking.connection import Connection, connect
from cnnClassifier.tracking.registry import set_alias
from cnnClassifier.web.registry_source import RegistrySource
from environment import clean_environment
from imports import ROOT
from registry_content import NAME, answers, content, fill_with_two
from served_app import served
from tiny_release import picture

PICTURES = [picture(number) for number in range(3)]


def test_the_pipeline_and_the_app_work_against_it(team, s3):
    client = MlflowClient(team.server.uri)
    version = client.get_model_version_by_alias("phantom", "champion")
    run = client.get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert len(client.get_metric_history(version.run_id, "val_loss")) == 2
    assert run.info.artifact_uri.startswith("mlflow-artifacts:/")
    assert any(name.endswith("package/model.onnx") for name in s3.names(team.bucket))
    assert not (team.project.root / "mlflow.db").exists()
    with served(team.project) as address:
        image = next((team.project.root / "artifacts/data_ingestion/images/test/normal").glob("*.png"))
        body = json.dumps({"image": base64.b64encode(image.read_bytes()).decode()}).encode()
        request = urllib.request.Request(f"{address}/predict", body, {"Content-Type": "application/json"})
        answer = json.load(urllib.request.urlopen(request, timeout=60))
    assert (answer["model"], answer["version"]) == ("phantom", str(version.version))


@pytest.mark.parametrize(
    ("dotenv", "shell", "said"),
    [
        ("MLFLOW_TRACKING_URI=http://of-dotenv:5000\n", {}, "your runs are at http://of-dotenv:5000"),
        ("MLFLOW_TRACKING_URI=http://of-dotenv/a$1b&c\n", {}, "your runs are at http://of-dotenv/a$1b&c"),
        ("MLFLOW_TRACKING_URI=http://a$1b&c@of-dotenv\n", {}, "your runs are at http://***@of-dotenv"),
        ("MLFLOW_TRACKING_URI=http://of-dotenv\n", {"MLFLOW_TRACKING_URI": "http://of-shell"}, "at http://of-shell"),
        ("", {}, "your runs are at http://of-config"),
    ],
)
def test_make_ui_shows_what_the_program_logs_to(tmp_path, dotenv, shell, said):
    (tmp_path / "Makefile").write_bytes((ROOT / "Makefile").read_bytes())
    shutil.copytree(ROOT / "config", tmp_path / "config")
    file = tmp_path / "config/config.yaml"
    file.write_text(file.read_text().replace("uri: sqlite:///mlflow.db", "uri: http://of-config"))
    (tmp_path / ".env").write_text(dotenv)
    binaries = Path(sys.executable).parent
    environment = {**clean_environment(), **shell, "PATH": f"{binaries}:{os.environ['PATH']}"}
    command = ["make", "--old-file=.venv/.run", f"BIN={binaries}", "ui"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert said in done.stdout, done.stderr


def test_it_says_what_env_lacks(tmp_path):
    (tmp_path / "Makefile").write_bytes((ROOT / "Makefile").read_bytes())
    command = ["make", "--old-file=.venv/.team", f"BIN={Path(sys.executable).parent}", "tracking-server"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode
    assert "MLFLOW_BACKEND_STORE_URI" in done.stdout


@pytest.fixture
def laptop(tmp_path) -> Connection:
    folder = tmp_path / "a laptop"
    folder.mkdir()
    connection = Connection(f"sqlite:///{folder}/mlflow.db", folder / "mlruns")
    connection.check()
    fill_with_two(connection, folder)
    return connection


def served_champion(folder: Path, monkeypatch) -> tuple[str, list[dict[str, float]]]:
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)  # where the app keeps what it fetched
    return answers(load_project(ROOT / "config/config.yaml"), NAME, PICTURES)


def test_a_laptops_registry_moves_there_and_back_with_everything(laptop, postgres, s3, tmp_path, monkeypatch):
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", laptop.uri)
    there = served_champion(tmp_path / "before", monkeypatch)
    backup(choose_store(laptop, None, None), tmp_path / "registry.tar")

    database, destination = postgres.database(), f"s3://{s3.bucket()}/mlflow"
    store = choose_store(laptop, database, destination)
    restore(tmp_path / "registry.tar", store)
    with pytest.raises(TrackingError, match="overwrites nothing") as said:
        restore(tmp_path / "registry.tar", store)
    assert "password" not in str(said.value)

    server = team_server(tmp_path / "server", database, destination, s3).start()
    try:
        client = MlflowClient(server.wait())
        before = content(laptop.client)
        assert content(client) == before
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
        assert served_champion(tmp_path / "after", monkeypatch) == there
        goes_on_counting(client)
        backup(store, tmp_path / "team.tar")  # while the server runs
    finally:
        server.kill()

    # And back: what the team had is on the laptop, by its paths there.
    home = tmp_path / "home"
    back = Connection(f"sqlite:///{home}/mlflow.db", home / "mlruns")
    restore(tmp_path / "team.tar", choose_store(back, None, None))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", back.uri)
    assert served_champion(home, monkeypatch) == there
    assert len(content(back.client)["runs"]) == len(before["runs"]) + 1


def test_a_command_that_asks_a_database_itself_hears_of_the_next_champion(postgres, tmp_path, monkeypatch):
    """Only mlflow can ask it: what a command answered with before is no reason to answer with it again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", postgres.database())
    project = load_project(ROOT / "config/config.yaml")
    connection = connect(project.tracking)
    fill_with_two(connection, tmp_path)
    assert RegistrySource(project, NAME, for_once=True).load().version == "1"
    set_alias(connection, NAME, 2, "champion")
    assert RegistrySource(project, NAME, for_once=True).load().version == "2"


def goes_on_counting(client: MlflowClient) -> None:
    """New experiments, runs and versions get numbers that nothing has."""
    (experiment,) = (each for each in client.search_experiments() if each.name == NAME)
    run = client.create_run(experiment.experiment_id).info
    client.log_text(run.run_id, "new", "new.txt")
    assert int(client.create_model_version(NAME, run.artifact_uri, run.run_id).version) == 3
    client.log_metric(run.run_id, "loss", 0.5)
    assert client.create_experiment("another") not in ("0", experiment.experiment_id)


def test_a_backup_of_postgresql_is_of_one_moment(postgres, s3, tmp_path, monkeypatch):
    """Between the first table that is read and the last, another connection commits a run with a tag."""
    import psycopg
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    from cnnClassifier.backup import tables

    database = postgres.database()
    tables._upgrade(database)
    added = []

    def add_a_run(connection, cursor, statement, *_) -> None:
        if connection.dialect.name == "postgresql" and "FROM experiments" in statement and not added:
            added.append(statement)
            with psycopg.connect(database) as other:
                other.execute("INSERT INTO experiments (name, lifecycle_stage) VALUES ('late', 'active')")
                other.execute(
                    "INSERT INTO runs (run_uuid, experiment_id) SELECT 'late', experiment_id FROM experiments"
                )

    event.listen(Engine, "after_cursor_execute", add_a_run)
    try:
        counts = snapshot(choose_store(None, database, "s3://nowhere"), tmp_path / "copy.db")
    finally:
        event.remove(Engine, "after_cursor_execute", add_a_run)
    assert added
    assert counts["runs"] == 0
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (1,)


def test_a_server_that_is_not_there_is_one_line_without_its_password(postgres, tmp_path):
    nowhere = postgres.address("no_such_database")
    with pytest.raises(TrackingError, match="no_such_database") as said:
        backup(choose_store(None, nowhere, str(tmp_path / "artifacts")), tmp_path / "x.tar")
    assert "password" not in str(said.value)
    assert "\n" not in str(said.value)
