"""Readers' labels through the API: typed, guarded like every other route, and off unless asked for."""

import io
import json
import sqlite3
from contextlib import closing

import pytest
from flask import Flask
from tiny_app import CONFIG, ROOT, app_serving
from tiny_model import CLASSES, GREY, coloured, picture

from cnnClassifier.web import ModelHolder, Models, create_app
from cnnClassifier.web.limits import Guard

V1 = "/api/v1"
KEY = "sesame-open-sesame"


@pytest.fixture
def labelling(deciding, tmp_path) -> Flask:
    app = app_serving(deciding, CONFIG.model_copy(update={"prediction_log": tmp_path / "log.db", "feedback": True}))
    yield app
    app.extensions["journal"].close()


@pytest.fixture
def asked(labelling):
    """A client, and the answer to a red picture."""
    client = labelling.test_client()
    return client, predict(client, picture())


def predict(client, data: bytes, **headers):
    return client.post(f"{V1}/predict", data={"image": (io.BytesIO(data), "a.png")}, headers=headers).json


def say(client, answer, label="normal", **more):
    return client.post(f"{V1}/feedback", json={"request_id": answer["request_id"], "label": label, **more})


def test_a_label_is_kept_with_what_was_answered(asked):
    client, answer = asked
    said = say(client, answer)
    assert said.status_code == 200
    assert said.json == {
        "request_id": answer["request_id"],
        "item": 0,
        "label": "normal",
        "answered": "adenocarcinoma",
        "agrees": False,
        "model": "deciding",
        "version": "8",
    }
    assert say(client, answer, "adenocarcinoma").json["agrees"] is True
    assert say(client, predict(client, coloured(GREY))).json["agrees"] is None


def test_the_model_says_how_often_readers_agree(asked):
    client, answer = asked
    assert client.get(f"{V1}/models/deciding").json["agreement"] == {
        "agreed": 0, "judged": 0, "without_answer": 0, "low": None, "high": None,
    }  # fmt: skip
    say(client, answer, "adenocarcinoma")
    found = client.get(f"{V1}/models/deciding").json["agreement"]
    assert (found["agreed"], found["judged"]) == (1, 1)
    assert found["low"] == pytest.approx(0.2065, abs=1e-4)
    metrics = client.get("/metrics").text
    assert 'cnnclassifier_feedback_agreed{model="deciding",version="8"} 1.0' in metrics
    assert 'cnnclassifier_feedback_judged{model="deciding",version="8"} 1.0' in metrics


def test_off_unless_asked_for(client):
    answer = predict(client, picture())
    assert say(client, answer).status_code == 404
    assert client.get(f"{V1}/models/colours").json["agreement"] is None
    assert f"{V1}/feedback" not in client.get(f"{V1}/openapi.json").json["paths"]
    assert 'id="feedback"' not in client.get("/").text


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"request_id": "unknown", "label": "normal"}, 404),
        ({"request_id": "a/../b", "label": "normal"}, 400),
        ({"request_id": "x" * 65, "label": "normal"}, 400),
        ({"label": "normal"}, 400),
        ({"request_id": "unknown", "label": "normal", "item": -1}, 400),
        ({"request_id": "unknown", "label": ""}, 400),
        ({"request_id": "unknown", "label": "normal", "reader": "Dr. House"}, 400),
        ([], 400),
    ],
)
def test_what_is_no_label_is_a_problem_document(asked, body, status):
    response = asked[0].post(f"{V1}/feedback", json=body)
    assert (response.status_code, response.mimetype) == (status, "application/problem+json")


def test_a_label_must_be_a_class_of_the_model_that_answered(asked):
    client, answer = asked
    response = say(client, answer, "pneumonia")
    assert response.status_code == 422
    assert all(name in response.json["detail"] for name in CLASSES)


def test_another_image_of_the_request_is_not_there(asked):
    client, answer = asked
    assert say(client, answer, item=1).status_code == 404


def test_a_log_that_is_another_program_s_file_is_a_problem_document(deciding, tmp_path):
    with closing(sqlite3.connect(tmp_path / "log.db")) as other:
        other.execute("CREATE TABLE thesis (word)")
    config = CONFIG.model_copy(update={"prediction_log": tmp_path / "log.db", "feedback": True})
    client = app_serving(deciding, config).test_client()
    response = say(client, predict(client, picture()))
    assert (response.status_code, response.json["type"]) == (503, "urn:cnnclassifier:problem:not-kept")


def test_a_form_of_another_site_is_refused(asked):
    client, answer = asked
    fields = {"request_id": answer["request_id"], "label": "normal"}
    assert client.post(f"{V1}/feedback", data=fields).status_code == 415
    text = json.dumps(fields)
    assert client.post(f"{V1}/feedback", data=text, content_type="text/plain").status_code == 415
    script = client.post(f"{V1}/feedback", json=fields, headers={"Sec-Fetch-Site": "cross-site"})
    assert script.status_code == 403
    assert "Access-Control-Allow-Origin" not in client.options(f"{V1}/feedback").headers


def test_the_key_is_asked_for(deciding, tmp_path):
    config = CONFIG.model_copy(update={"prediction_log": tmp_path / "log.db", "feedback": True})
    holder = ModelHolder(lambda: deciding)
    holder.load_once()
    client = create_app(Models(holder), config, ROOT, Guard(KEY)).test_client()
    answer = predict(client, picture(), **{"X-API-Key": KEY})
    body = {"request_id": answer["request_id"], "label": "normal"}
    assert client.post(f"{V1}/feedback", json=body).status_code == 401
    assert client.post(f"{V1}/feedback", json=body, headers={"X-API-Key": KEY}).status_code == 200


def test_a_log_that_cannot_be_read_is_503(asked, labelling):
    client, answer = asked
    writer = labelling.extensions["journal"].writer
    writer.flush()
    writer.path.with_name("elsewhere.db").mkdir()
    writer.path = writer.path.with_name("elsewhere.db")
    response = say(client, answer)
    assert response.status_code == 503
    assert response.headers["Retry-After"]


def test_the_document_names_the_route(labelling):
    document = labelling.test_client().get(f"{V1}/openapi.json").json
    route = document["paths"][f"{V1}/feedback"]["post"]
    assert {"200", "400", "401", "403", "404", "415", "422", "429", "503"} <= set(route["responses"])
    assert list(route["requestBody"]["content"]) == ["application/json"]
