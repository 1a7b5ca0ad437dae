"""The Lambda handler, called as API Gateway calls it, with the released model and without TensorFlow."""

import base64
import http.server
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import yaml
from PIL import Image

from aws_lambda import AwsLambda, aws_lambda, http_event
from cnnClassifier.config.loading import load_project
from cnnClassifier.config.types import ServingConfig
from cnnClassifier.errors import ConfigError
from cnnClassifier.fetching import Fetcher
from cnnClassifier.serverless import Function, make_function
from cnnClassifier.web.answers import PredictAnswer
from environment import clean_environment
from imports import ROOT

KEY = "a key of the tests alone"
MODEL = ROOT / "models/chest_ct"


def encoded(size: tuple[int, int] = (64, 64)) -> bytes:
    file = io.BytesIO()
    Image.effect_noise(size, 60).save(file, "PNG")
    return file.getvalue()


PICTURE = encoded()


class Site(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        found = {"/scan.png": (200, PICTURE), "/page": (200, b"<html>")}.get(self.path, (404, b"no"))
        self.send_response(found[0])
        self.send_header("Content-Length", str(len(found[1])))
        self.end_headers()
        self.wfile.write(found[1])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def function(site: str) -> Function:
    environ = {"CNNCLASSIFIER_API_KEY": KEY, "CNNCLASSIFIER_MODEL_DIR": str(MODEL)}
    made = make_function(environ, ServingConfig(max_upload_mb=1))
    # The tests' site is on loopback, which is no public address.
    return replace(made, fetcher=Fetcher([site], 2**20, 5, allowed=lambda _: True))


def http_api(body: Any, headers: dict[str, str] | None = None, method: str = "POST", binary: bool = False) -> dict:
    """An event of an HTTP API, with JSON and the key unless `headers` say otherwise."""
    known = {"content-type": "application/json", "x-api-key": KEY, "host": "x.example"} | (headers or {})
    return http_event(body if isinstance(body, str) else json.dumps(body), known, method, binary)


def rest_api(body: Any, headers: dict[str, str] | None = None) -> dict:
    """An event of a REST API with proxy integration, which keeps the case of headers."""
    return {
        "resource": "/detect",
        "path": "/detect",
        "httpMethod": "POST",
        "headers": {"Content-Type": "application/json", "X-Api-Key": KEY} | (headers or {}),
        "multiValueHeaders": {},
        "queryStringParameters": None,
        "pathParameters": None,
        "requestContext": {"httpMethod": "POST", "stage": "test", "identity": {"sourceIp": "192.0.2.1"}},
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }


def as_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def assert_answers(function: Function, event: dict) -> None:
    response = function(event)
    assert (response["statusCode"], response["headers"]["content-type"]) == (200, "application/json")
    expected = function.classifier.classify(PICTURE)
    answer = json.loads(response["body"])
    assert (answer["state"], answer["label"]) == (expected.state, expected.label)
    assert answer["probabilities"] == pytest.approx(expected.probabilities)
    assert answer["version"] == function.classifier.digest
    assert set(answer) == set(PredictAnswer.model_fields)  # what POST /predict answers
    assert response["isBase64Encoded"] is False


@pytest.mark.parametrize("event", [http_api, rest_api])
def test_a_picture_at_an_allowed_address_is_answered(function, site, event):
    assert_answers(function, event({"url": f"http://{site}/scan.png"}))


@pytest.mark.parametrize("event", [http_api, rest_api])
def test_a_picture_in_base64_is_answered(function, event):
    assert_answers(function, event({"image": as_base64(PICTURE)}))


def test_a_picture_as_the_body_is_answered(function):
    assert_answers(function, http_api(as_base64(PICTURE), {"content-type": "image/png"}, binary=True))


@pytest.mark.parametrize(
    ("event", "status", "detail"),
    [
        (http_api({"image": "x"}, {"x-api-key": "another key"}), 401, "x-api-key"),
        (rest_api({"image": "x"}, {"X-Api-Key": ""}), 401, "x-api-key"),
        (rest_api({"image": "x"}) | {"headers": None}, 401, "x-api-key"),
        (http_api({}, {"x-api-key": "kéy"}), 401, "x-api-key"),
        ({}, 401, "x-api-key"),
        (http_api("", method="GET"), 405, "POST"),
        (http_api(""), 400, "empty"),
        (http_api("no json"), 400, "JSON"),
        (http_api({}), 400, "either"),
        (http_api({"url": "http://x.example/", "image": "x"}), 400, "either"),
        (http_api({"URL": "http://x.example/"}), 400, "Extra inputs"),
        (http_api({"image": "%"}), 400, "base64"),
        (http_api({"image": as_base64(b"no picture")}), 422, "not an image"),
        (http_api({"url": "http://169.254.169.254/latest"}), 422, "not among those"),
        (http_api({"url": "file:///etc/passwd"}), 422, "only http"),
        (http_api("x=1", {"content-type": "application/x-www-form-urlencoded"}), 415, "image/png"),
        (http_api({"image": as_base64(bytes(2**20 + 1))}), 413, "1 MB"),
    ],
)
def test_what_is_wrong_is_a_problem_with_its_status(function, event, status, detail):
    response = function(event)
    assert response["statusCode"] == status
    assert response["headers"]["content-type"] == "application/problem+json"
    problem = json.loads(response["body"])
    assert problem["status"] == status
    assert detail in problem["detail"]


@pytest.mark.parametrize(("path", "detail"), [("page", "not an image"), ("gone", "answers 404"), ("ä", "answers 404")])
def test_what_an_allowed_address_does_not_have_is_said(function, site, path, detail):
    response = function(http_api({"url": f"http://{site}/{path}"}))
    assert response["statusCode"] == 422
    assert detail in json.loads(response["body"])["detail"]


def test_a_private_address_is_not_fetched_though_its_host_is_allowed(function, site):
    strict = replace(function, fetcher=Fetcher([site], 2**20, 5))
    response = strict(http_api({"url": f"http://{site}/scan.png"}))
    assert "private network" in json.loads(response["body"])["detail"]


def test_without_a_key_it_does_not_start():
    with pytest.raises(ConfigError, match=r"at least 16 characters\. Received: 5"):
        make_function({"CNNCLASSIFIER_API_KEY": "short"}, ServingConfig())


def test_further_hosts_come_from_the_environment():
    environ = {"CNNCLASSIFIER_API_KEY": KEY, "CNNCLASSIFIER_URL_HOSTS": "a.example, b.example:8000"}
    serving = ServingConfig(url_hosts=("c.example",), released=MODEL)
    assert make_function(environ, serving).fetcher.hosts == ["c.example", "a.example", "b.example:8000"]


def test_the_command_of_the_image_serves_events_of_the_runtime_api(tmp_path):
    """As deploy/lambda/Dockerfile starts it; a module that cannot be imported stands where TensorFlow would."""
    (tmp_path / "tensorflow.py").write_text("raise ImportError('TensorFlow is not in this image')")
    with aws_lambda() as aws:
        aws.events.put(http_api({"image": as_base64(PICTURE)}))
        with started(aws, CNNCLASSIFIER_API_KEY=KEY, PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT / 'src'}"):
            answer = json.loads(aws.answers.get(timeout=60))
    assert aws.posted == ["/2018-06-01/runtime/invocation/1/response"]
    assert (answer["statusCode"], json.loads(answer["body"])["model"]) == (200, "chest_ct")


def test_a_function_that_cannot_start_says_so_to_lambda():
    with aws_lambda() as aws, started(aws, PYTHONPATH=str(ROOT / "src")) as process:
        told = json.loads(aws.answers.get(timeout=60))
        assert process.wait(10) == 1
    assert aws.posted == ["/2018-06-01/runtime/init/error"]
    assert "CNNCLASSIFIER_API_KEY" in told["errorMessage"]


@contextmanager
def started(aws: AwsLambda, **environ: str) -> Iterator[subprocess.Popen]:
    """The image's command, until it is killed."""
    known = {**clean_environment(), **environ, "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{aws.server_port}"}
    with subprocess.Popen([sys.executable, str(ROOT / "deploy/lambda/runtime.py")], env=known, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_shipped_configuration_fetches_from_nowhere():
    assert load_project(ROOT / "config/config.yaml").serving.url_hosts == ()
    assert yaml.safe_load((ROOT / "config/config.yaml").read_text())["serving"]["url_hosts"] == []
