"""The prediction log behind the real app: what is noted, what is not, and that its trouble never reaches a client."""

import io
import json
import sqlite3
import time
import zipfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import requests
from tiny_app import CONFIG, app_serving, running
from tiny_model import CLASSES, GREY, PURE, coloured, picture, write_deciding_package, write_explaining_package

from cnnClassifier.config.types import ServingConfig
from cnnClassifier.errors import ConfigError
from cnnClassifier.inference import Classifier
from cnnClassifier.monitoring.drift import Finding
from cnnClassifier.monitoring.entries import read_log
from cnnClassifier.monitoring.properties import PROPERTIES
from cnnClassifier.monitoring.reading import Checked, save_check
from cnnClassifier.monitoring.reference import (
    REFERENCE_FILE,
    Axes,
    TrainingReference,
    save_training_reference,
)
from cnnClassifier.web.server import listening

V1 = "/api/v1"
NAME = "mrs-jane-doe.png"


@pytest.fixture(scope="module")
def watched(tmp_path_factory) -> Classifier:
    """A model with every rule and a training reference: three images, two axes, red and green."""
    folder = write_deciding_package(tmp_path_factory.mktemp("models") / "watched")
    reference = TrainingReference(
        groups=np.zeros(3, np.int32),
        probabilities=np.full((3, len(CLASSES)), 1 / len(CLASSES), np.float32),
        distances=np.zeros(3, np.float32),
        components=np.zeros((3, 2), np.float32),
        properties=np.zeros((3, len(PROPERTIES)), np.float32),
        axes=Axes(np.zeros(3, np.float32), np.eye(2, 3, dtype=np.float32) / 250),
    )
    save_training_reference(reference, folder / REFERENCE_FILE)
    return Classifier.load(folder, "watched", "11", threads=1)


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    return tmp_path / "log/predictions.db"


@pytest.fixture
def logged(watched, log_file):
    app = app_serving(watched, CONFIG.model_copy(update={"prediction_log": log_file}))
    yield app
    app.extensions["journal"].close()


def predict(client, data: bytes, route: str = f"{V1}/predict", **headers: str):
    return client.post(route, data={"image": (io.BytesIO(data), NAME)}, headers=headers)


def noted(app) -> list[dict]:
    app.extensions["journal"].writer.flush()
    with closing(read_log(app.extensions["journal"].writer.path)) as log:
        log.row_factory = sqlite3.Row
        return [dict(row) for row in log.execute("SELECT * FROM predictions ORDER BY id")]


def test_nothing_is_noted_unless_asked_for(client, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert predict(client, picture()).status_code == 200
    assert list(tmp_path.iterdir()) == []
    assert "cnnclassifier_log" not in client.get("/metrics").text
    assert "Answers are logged" not in client.get("/").text


def test_an_answer_is_noted_with_its_numbers(logged, watched):
    answer = predict(logged.test_client(), coloured(PURE), **{"X-Request-ID": "ward-7"}).json
    (row,) = noted(logged)
    assert (row["request_id"], row["item"], row["model"], row["version"]) == ("ward-7", 0, "watched", "11")
    assert row["digest"] == watched.digest
    assert (row["state"], row["label"]) == ("answer", "adenocarcinoma")
    assert json.loads(row["probabilities"]) == pytest.approx(answer["probabilities"], abs=1e-5)
    assert row["distance"] == pytest.approx(0, abs=1e-3)
    assert json.loads(row["components"]) == pytest.approx([1, 0])
    assert json.loads(row["properties"])[:3] == [48, 40, pytest.approx(0.299 * 250)]
    assert row["time"] == pytest.approx(time.time(), abs=60)


def test_nothing_of_image_name_or_client_is_noted(logged, log_file):
    data = coloured(PURE)
    predict(logged.test_client(), data)
    (row,) = noted(logged)
    assert row["sha256"] is None  # nor what names the file, where no reader needs it
    logged.extensions["journal"].close()
    written = b"".join(file.read_bytes() for file in log_file.parent.iterdir())
    assert row["request_id"].encode() in written
    for secret in (NAME.encode(), b"mrs-jane", b"127.0.0.1", data[:40]):
        assert secret not in written


def test_a_refusal_is_noted_and_a_file_that_is_no_picture_is_not(logged):
    client = logged.test_client()
    predict(client, coloured(GREY))
    assert predict(client, b"no picture").status_code == 422
    (row,) = noted(logged)
    assert (row["state"], row["label"]) == ("refused", None)
    assert row["distance"] > 0.8


def test_each_image_of_a_batch_is_noted_at_its_place(logged):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        for number, data in enumerate([picture("large_cell_carcinoma"), b"broken", picture()]):
            members.writestr(f"{number}.png", data)
    predict(logged.test_client(), archive.getvalue(), f"{V1}/batch")
    found = [(row["item"], row["label"]) for row in noted(logged)]
    assert found == [(0, "large_cell_carcinoma"), (2, "adenocarcinoma")]


def test_the_old_route_is_noted_too_and_maps_are_not_counted_again(tmp_path, log_file):
    package = Classifier.load(write_explaining_package(tmp_path / "explaining"), "explaining", "1")
    app = app_serving(package, CONFIG.model_copy(update={"prediction_log": log_file}))
    client = app.test_client()
    assert predict(client, picture(), "/predict").status_code == 200
    assert predict(client, picture(), f"{V1}/explain").status_code == 200
    (row,) = noted(app)
    assert (row["distance"], row["components"]) == (None, "[]")  # a package without gate and reference
    app.extensions["journal"].close()


def test_a_broken_log_breaks_no_answer_and_is_counted(watched, log_file):
    log_file.mkdir(parents=True)
    config = CONFIG.model_copy(update={"prediction_log": log_file})
    app = app_serving(watched, config)
    with running(app, config) as address:
        for _ in range(3):
            answer = requests.post(f"{address}{V1}/predict", files={"image": picture()}, timeout=30)
            assert answer.status_code == 200
        app.extensions["journal"].writer.flush()
        metrics = requests.get(f"{address}/metrics", timeout=30).text
    assert 'cnnclassifier_log_lost_total{why="file"} 3.0' in metrics
    assert "cnnclassifier_log_trouble 1.0" in metrics


def test_the_last_check_for_drift_is_in_the_figures(logged, log_file):
    predict(logged.test_client(), picture())
    noted(logged)
    finding = Finding("noise", "distance", 0.7, 0.1, 0.0001, 0.0016, True)
    with closing(read_log(log_file)) as log:
        save_check(log, Checked(1795680000.0, "watched", "11", 200, (finding,)))
    metrics = logged.test_client().get("/metrics").text
    about = 'model="watched",of="noise",version="11"'
    assert f"cnnclassifier_drift_alarm{{{about}}} 1.0" in metrics
    assert f"cnnclassifier_drift_effect{{{about}}} 0.7" in metrics
    assert 'cnnclassifier_drift_images{model="watched",version="11"} 200.0' in metrics
    assert 'cnnclassifier_drift_checked_timestamp_seconds{model="watched",version="11"} 1.79568e+09' in metrics


def test_the_environment_says_where_the_log_is():
    config = listening(CONFIG, {"CNNCLASSIFIER_PREDICTION_LOG": "log/p.db", "CNNCLASSIFIER_FEEDBACK": "true"})
    assert (config.prediction_log, config.feedback) == (Path("log/p.db"), True)
    with pytest.raises(ConfigError, match="`feedback` corrects what is in the `prediction_log`"):
        listening(CONFIG, {"CNNCLASSIFIER_FEEDBACK": "true"})
    with pytest.raises(ConfigError, match=r"CNNCLASSIFIER_FEEDBACK in the environment: .* Received: 'perhaps'"):
        listening(CONFIG, {"CNNCLASSIFIER_FEEDBACK": "perhaps"})
    assert ServingConfig().prediction_log is None
