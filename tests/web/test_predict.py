import base64
import io

import pytest
from tiny_app import app_serving
from tiny_model import CLASSES, GREY, LEANING, MIXED, SPEC, coloured, picture, write_package

from cnnClassifier import DISCLAIMER
from cnnClassifier.inference import Classifier


def upload(client, data: bytes, field: str = "image", name: str = "scan.png"):
    return client.post("/predict", data={field: (io.BytesIO(data), name)})


def test_an_uploaded_file_gets_an_answer(client):
    answer = upload(client, picture("normal")).json
    assert answer["label"] == "normal"
    assert answer["confidence"] == max(answer["probabilities"].values())
    assert list(answer["probabilities"]) == list(CLASSES)


def test_an_answer_says_which_model_gave_it_and_what_it_is_not(client):
    answer = upload(client, picture()).json
    assert (answer["model"], answer["version"], answer["disclaimer"]) == ("colours", "7", DISCLAIMER)
    assert answer["synthetic"] is False


def test_a_plain_answer_has_no_changes_and_only_itself_in_its_set(client):
    answer = upload(client, picture("normal")).json
    assert (answer["state"], answer["prediction_set"], answer["changes"]) == ("answer", ["normal"], [])


@pytest.mark.parametrize(
    ("colour", "state", "label", "change"),
    [
        (LEANING, "answer", "large_cell_carcinoma", "answered large_cell_carcinoma rather than adenocarcinoma: the"),
        (MIXED, "abstained", None, "no answer: the image may be adenocarcinoma or large_cell_carcinoma"),
        (GREY, "refused", None, "refused: the image differs from all training images (distance"),
    ],
)
def test_an_answer_says_which_rule_changed_it(deciding, colour, state, label, change):
    answer = upload(app_serving(deciding).test_client(), coloured(colour)).json
    assert (answer["state"], answer["label"]) == (state, label)
    assert [text[: len(change)] for text in answer["changes"]] == [change]
    assert max(answer["probabilities"], key=answer["probabilities"].get) in answer["prediction_set"]


@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
def test_base64_json_gets_the_same_answer_as_a_file(client, prefix):
    data = picture("squamous_cell_carcinoma")
    response = client.post("/predict", json={"image": prefix + base64.b64encode(data).decode()})
    assert response.json == upload(client, data).json


def test_line_breaks_in_base64_are_no_error(client):
    response = client.post("/predict", json={"image": base64.encodebytes(picture()).decode()})
    assert response.json["label"] == "adenocarcinoma"


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "BMP", "WEBP", "GIF"])
def test_common_formats_are_read(client, kind):
    assert upload(client, picture("large_cell_carcinoma", kind=kind)).json["label"] == "large_cell_carcinoma"


def test_the_file_name_does_not_matter(client):
    assert upload(client, picture(), name="../../etc/passwd").json["label"] == "adenocarcinoma"


def test_health_and_ready_tell_what_is_there(client):
    assert client.get("/health").json == {"status": "alive"}
    ready = client.get("/ready")
    assert (ready.status_code, ready.json["model"], ready.json["version"]) == (200, "colours", "7")
    assert ready.json["classes"] == list(CLASSES)


def test_a_model_of_drawn_images_says_so_everywhere(tmp_path):
    package = write_package(tmp_path / "drawn", SPEC.model_copy(update={"synthetic": True}))
    client = app_serving(Classifier.load(package, "phantom", "1")).test_client()
    assert client.get("/ready").json["synthetic"] is True
    assert upload(client, picture()).json["synthetic"] is True


def test_without_a_model_the_server_lives_and_says_what_to_do(client_without_model):
    assert client_without_model.get("/health").status_code == 200
    answers = [client_without_model.get("/ready"), client_without_model.get("/model-card")]
    for response in (*answers, upload(client_without_model, picture())):
        assert response.status_code == 503
        assert response.json["type"] == "urn:cnnclassifier:problem:no-model"
        assert "no model called phantom is registered" in response.json["detail"]
        assert "make run" in response.json["advice"]
        assert response.headers["Retry-After"] == "10"


def test_the_model_s_card_is_a_page_with_a_policy_of_its_own(carded):
    client = app_serving(carded).test_client()
    assert client.get("/ready").json["model_card"] is True
    card = client.get("/model-card")
    assert (card.status_code, card.mimetype) == (200, "text/html")
    assert card.data == carded.card.read_bytes()
    assert "<h1>Model card: colours</h1>" in card.text
    policy = card.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:; ")
    assert "frame-ancestors 'self'" in policy
    assert card.headers["X-Content-Type-Options"] == "nosniff"


def test_a_package_without_a_card_says_so(client):
    assert client.get("/ready").json["model_card"] is False
    response = client.get("/model-card")
    assert (response.status_code, response.mimetype) == (404, "application/problem+json")
    assert response.json["detail"] == "model colours version 7 has no model card"


def test_the_page_needs_nothing_from_elsewhere_and_nothing_inline(client):
    page = client.get("/")
    assert "http://" not in page.text.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert "https://" not in page.text
    assert "<style" not in page.text
    assert " style=" not in page.text
    assert page.text.count("<script") == page.text.count("<script src=")
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert DISCLAIMER in page.text


@pytest.mark.parametrize("asset", ["app.js", "app.css", "icon.svg"])
def test_the_assets_are_served_locally(client, asset):
    response = client.get(f"/static/{asset}")
    assert response.status_code == 200
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_answers_are_never_kept_by_a_cache(client):
    assert upload(client, picture()).headers["Cache-Control"] == "no-store"
