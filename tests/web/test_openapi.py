"""The OpenAPI document: true to the server by schemathesis' account, and readable as a page."""

import pytest
import schemathesis
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, settings
from tiny_app import app_serving

from cnnClassifier.inference import Classifier

V1 = "/api/v1"
PATHS = {"/predict", "/explain", "/picture", "/batch", "/models", "/models/{name}", "/samples"}


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    from tiny_model import CLASSES, write_package

    package = write_package(tmp_path_factory.mktemp("models") / "explaining", maps=len(CLASSES))
    return schemathesis.openapi.from_wsgi(f"{V1}/openapi.json", app_serving(Classifier.load(package, "colours", "7")))


schema = schemathesis.pytest.from_fixture("api")


@schema.parametrize()
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_whatever_is_sent_the_answer_is_as_the_document_says_and_no_fault_of_the_server(case):
    case.call_and_validate(
        excluded_checks=[schemathesis.checks.CHECKS.get("positive_data_acceptance")] if False else []
    )


def test_the_document_names_every_route_and_its_problems(client: FlaskClient):
    document = client.get(f"{V1}/openapi.json").json
    assert {path.removeprefix(V1) for path in document["paths"]} == PATHS
    predict = document["paths"][f"{V1}/predict"]["post"]
    assert {"400", "401", "413", "415", "422", "429", "503"} <= set(predict["responses"])
    assert set(predict["requestBody"]["content"]) >= {"multipart/form-data", "application/json", "application/dicom"}


def test_the_document_is_a_page_too(client: FlaskClient):
    page = client.get(f"{V1}/docs")
    assert page.status_code == 200
    for path in PATHS:
        assert f"{V1}{path}" in page.text
    assert "http://" not in page.text
    assert "<script" not in page.text
