"""The same pipeline on a team's server: what a local run left is logged, registered and served from there."""

import base64
import json
import urllib.request

import pytest
from mlflow import MlflowClient

from mlflow_servers import PASSWORD, USER, auth_server, old_server
from served_app import served

pytestmark = [pytest.mark.pipeline, pytest.mark.server]

SERVERS = {"today's, with a password": auth_server, "an old 2.x": old_server}


@pytest.mark.parametrize("server", SERVERS)
def test_results_reach_a_server_named_in_dotenv_and_are_served_from_it(pipeline, server, tmp_path, monkeypatch):
    running = SERVERS[server](tmp_path / "server")
    running.start()
    try:
        settings = {
            "MLFLOW_TRACKING_URI": running.wait(),
            "MLFLOW_TRACKING_USERNAME": USER,
            "MLFLOW_TRACKING_PASSWORD": PASSWORD,
        }
        (pipeline.root / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        pipeline.main("registration")
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        client = MlflowClient(settings["MLFLOW_TRACKING_URI"])
        version = client.get_model_version_by_alias("phantom", "champion")
        run = client.get_run(version.run_id)
        assert run.info.status == "FINISHED"
        assert run.data.params["training.epochs"] == "2"
        assert len(client.get_metric_history(version.run_id, "val_loss")) == 2
        with served(pipeline) as address:
            image = next((pipeline.root / "artifacts/data_ingestion/images/test/normal").glob("*.png"))
            body = json.dumps({"image": base64.b64encode(image.read_bytes()).decode()}).encode()
            request = urllib.request.Request(f"{address}/predict", body, {"Content-Type": "application/json"})
            answer = json.load(urllib.request.urlopen(request, timeout=60))
        assert (answer["model"], answer["version"]) == ("phantom", str(version.version))
    finally:
        (pipeline.root / ".env").unlink()
        running.kill()
