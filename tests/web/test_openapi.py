"""The OpenAPI document: true to the server, by what schemathesis sends it, and readable as a page."""

import pytest
import schemathesis
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance
from tiny_app import app_serving
from tiny_model import CLASSES, write_package

from cnnClassifier.inference import Classifier

V1 = "/api/v1"
OPERATIONS = {
    "/predict": "POST",
    "/explain": "POST",
    "/picture": "POST",
    "/batch": "POST",
    "/models": "GET",
    "/models/{name}": "GET",
    "/samples": "GET",
    "/samples/{name}.png": "GET",
}
EXAMPLES = 40  # of each operation


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    package = write_package(tmp_path_factory.mktemp("models") / "explaining", maps=len(CLASSES))
    app = app_serving(Classifier.load(package, "colours", "7"))
    return schemathesis.openapi.from_wsgi(f"{V1}/openapi.json", app)


@pytest.mark.parametrize(("path", "method"), OPERATIONS.items())
def test_whatever_is_sent_the_answer_is_as_the_document_says_and_no_fault_of_the_server(api, path, method):
    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(case=api[f"{V1}{path}"][method].as_strategy())
    def answers_as_documented(case):
        # Not every sequence of bytes is a picture, and no schema can say which are.
        case.call_and_validate(excluded_checks=[positive_data_acceptance])

    answers_as_documented()


def test_the_document_names_every_route_and_its_problems(client: FlaskClient):
    document = client.get(f"{V1}/openapi.json").json
    assert {path.removeprefix(V1) for path in document["paths"]} == set(OPERATIONS)
    predict = document["paths"][f"{V1}/predict"]["post"]
    assert {"400", "401", "413", "415", "422", "429", "503"} <= set(predict["responses"])
    assert set(predict["requestBody"]["content"]) >= {"multipart/form-data", "application/json", "application/dicom"}


def test_the_document_is_a_page_too(client: FlaskClient):
    page = client.get(f"{V1}/docs")
    assert page.status_code == 200
    for path in OPERATIONS:
        assert f"{V1}{path}" in page.text
    assert "http://" not in page.text.replace("http://localhost/", "")
    assert "<script" not in page.text
    assert "http://localhost/ward/api/v1/predict" in client.get(f"{V1}/docs", base_url="http://localhost/ward").text
