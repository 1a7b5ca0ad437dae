"""A server that follows a real MLflow server: through a new champion, the registry's death and its return."""

import shutil
import time

import pytest
import requests
from tiny_app import CONFIG, ROOT, running
from tiny_model import picture, write_package

from cnnClassifier.config.loading import load_project
from cnnClassifier.config.types import ProjectConfig
from cnnClassifier.tracking.connection import connect
from cnnClassifier.tracking.registry import set_alias
from cnnClassifier.web import ModelHolder, Models, create_app
from cnnClassifier.web.registry_source import RegistrySource
from mlflow_servers import SCRIPTS, MlflowServer

NAME = "followed"


@pytest.fixture
def mortal(tmp_path):
    environ = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    server = MlflowServer(SCRIPTS / "mlflow", tmp_path / "server", environ=environ).start()
    yield server
    server.kill()


@pytest.fixture
def project(tmp_path, monkeypatch) -> ProjectConfig:
    project = load_project(ROOT / "config/config.yaml")
    monkeypatch.chdir(tmp_path)  # the cache of fetched packages is relative
    for name in ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"):
        monkeypatch.setenv(name, "5")  # connecting would set them, and not take them back
    serving = project.serving.model_copy(update={"released": None})
    return project.model_copy(update={"serving": serving})


@pytest.mark.server
def test_a_server_goes_on_without_its_registry_and_takes_the_next_champion_when_it_is_back(
    mortal, project, package, tmp_path, monkeypatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mortal.wait())
    register(project, package)
    source = RegistrySource(project, NAME)
    models = ModelHolder(source.load, source.look, refresh_seconds=3600)
    models.load_once()
    with running(create_app(Models(models), CONFIG, ROOT)) as address:
        models.look_once()
        assert facts(address) == ("1", None)

        mortal.kill()
        models.look_once()
        version, notice = facts(address)
        assert version == "1"
        assert "does not answer" in notice
        assert "going on with followed version 1" in notice
        restarted = RegistrySource(project, NAME).load()
        assert (restarted.name, restarted.version) == (NAME, "1")

        shutil.rmtree(models.get().folder)  # by whoever clears the cache
        mortal.start().wait()
        register(project, write_package(tmp_path / "other", size=None))
        models.look_once()
        assert facts(address) == ("2", None)
        answer = requests.post(f"{address}/predict", files={"image": ("scan.png", picture("normal"))}, timeout=60)
        assert (answer.json()["label"], answer.json()["version"]) == ("normal", "2")


def facts(address: str) -> tuple[str, str | None]:
    ready = requests.get(f"{address}/ready", timeout=60).json()
    return ready["version"], ready["notice"]


def register(project: ProjectConfig, package) -> None:
    """One more version, champion at once."""
    connection = connect(project.tracking)
    client = connection.client
    run = client.create_run("0", start_time=int(time.time() * 1000)).info
    client.log_artifacts(run.run_id, str(package), "model/artifacts/package")
    if not client.search_registered_models(f"name='{NAME}'"):
        client.create_registered_model(NAME)
    version = client.create_model_version(NAME, f"{run.artifact_uri}/model", run.run_id).version
    set_alias(connection, NAME, int(version), "champion")
