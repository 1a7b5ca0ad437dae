"""The API, version 1, as a program uses it."""

import base64
import csv
import io
import zipfile
from datetime import UTC, datetime

import numpy as np
import pytest
from PIL import Image
from tiny_app import CONFIG, ROOT, app_serving
from tiny_model import CLASSES, MIXED, coloured, picture, with_spot, write_package

from cnnClassifier.dicom import decode_dicom
from cnnClassifier.inference import Classifier
from cnnClassifier.preprocessing import prepare
from cnnClassifier.web import ModelHolder, Models, create_app
from hostile import dicom_files as dicom
from hostile import zip_files as zips
from hostile.corpus import BODY_LIMIT, CASES

V1 = "/api/v1"
RED, SIDE = (250, 0, 0), 48


@pytest.fixture(scope="module")
def explaining(tmp_path_factory):
    package = write_package(tmp_path_factory.mktemp("models") / "explaining", maps=len(CLASSES))
    return app_serving(Classifier.load(package, "explaining", "3")).test_client()


def files(*contents: tuple[bytes, str]) -> dict:
    return {"image": [(io.BytesIO(data), name) for data, name in contents]}


def zipped(**members: bytes) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    return archive.getvalue()


def test_an_answer_tells_what_was_read_when_and_under_which_id(client):
    response = client.post(
        f"{V1}/predict", data=files((picture("normal"), "scan.png")), headers={"X-Request-ID": "r-1"}
    )
    answer = response.json
    assert (answer["label"], answer["model"], answer["version"]) == ("normal", "colours", "7")
    assert answer["picture"] == {"width": 48, "height": 40, "seen": [0, 40, 0, 48], "dicom": None}
    assert answer["request_id"] == response.headers["X-Request-ID"] == "r-1"
    assert abs((datetime.now(UTC) - datetime.fromisoformat(answer["answered_at"])).total_seconds()) < 60


@pytest.mark.parametrize(
    "sent",
    [
        {"json": {"image": base64.b64encode(picture("normal")).decode()}},
        {"json": {"images": [base64.b64encode(picture("normal")).decode()]}},
        {"data": picture("normal"), "content_type": "image/png"},
        {"data": picture("normal", kind="JPEG"), "content_type": "application/octet-stream"},
    ],
    ids=["base64", "several in base64", "raw", "raw of any kind"],
)
def test_a_file_may_come_in_json_or_as_the_body(client, sent):
    assert client.post(f"{V1}/predict", **sent).json["label"] == "normal"
    assert client.post(f"{V1}/batch", **sent).json["results"][0]["answer"]["label"] == "normal"


def test_several_files_are_answered_each_and_a_bad_one_does_not_stop_the_others(client):
    for route in ("predict", "batch"):
        sent = files((picture("normal"), "one.png"), (b"nothing", "two.png"), (picture(), "three.png"))
        answer = client.post(f"{V1}/{route}", data=sent).json
        assert [item["name"] for item in answer["results"]] == ["one.png", "two.png", "three.png"]
        assert (answer["answered"], answer["failed"], answer["series"]) == (2, 1, False)
        assert answer["results"][1]["problem"]["status"] == 422
        assert answer["results"][2]["answer"]["label"] == "adenocarcinoma"


def test_a_batch_as_a_table_computes_nothing_in_a_spreadsheet(client):
    sent = files((picture("normal"), "one.png"), (b"nothing", "=2+2.png"))
    response = client.post(f"{V1}/batch?format=csv", data=sent)
    assert response.mimetype == "text/csv"
    header, first, second = response.text.splitlines()
    assert header.startswith("index,name,state,label,confidence,prediction_set,problem,model,version,request_id,prob")
    assert f",colours,7,{response.headers['X-Request-ID']}," in first
    assert first.startswith("0,one.png,answer,normal,0.")
    assert second.startswith("1,'=2+2.png,problem,,,,\"not an image")


def test_the_classes_of_a_set_are_told_apart_in_a_table(deciding):
    sent = files((coloured(MIXED), "mixed.png"))
    text = app_serving(deciding).test_client().post(f"{V1}/batch?format=csv", data=sent).text
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["prediction_set"] == "adenocarcinoma; large_cell_carcinoma"


def test_a_zip_is_its_files_and_names_are_only_shown(client):
    archive = zipped(**{"b/2.png": picture("normal"), "b/10.png": picture(), "../../evil.png": b"no"})
    answer = client.post(f"{V1}/batch", data=files((archive, "scans.zip"))).json
    assert [item["name"] for item in answer["results"] if item["answer"]] == ["2.png", "10.png"]
    assert all("/" not in item["name"] for item in answer["results"])


@pytest.mark.parametrize("case", [case for case in CASES if case.members == "refused"], ids=lambda case: case.name)
def test_an_archive_that_is_built_to_grow_is_refused_as_a_whole(client, case):
    response = client.post(f"{V1}/batch", data=files((case.data, "scans.zip")))
    assert response.status_code == (413 if len(case.data) > BODY_LIMIT else 422)
    assert response.content_type == "application/problem+json"


def test_more_files_than_a_batch_may_have_are_refused(classifier):
    few = app_serving(classifier, CONFIG.model_copy(update={"max_files": 2})).test_client()
    response = few.post(f"{V1}/batch", data=files(*[(picture(), "a.png")] * 3))
    assert (response.status_code, response.json["detail"]) == (422, "3 files are more than the 2 taken at a time")


def test_archives_that_together_are_too_much_are_refused_though_each_alone_is_not(client):
    archive = zips.write({f"{number}": bytes(2**20) for number in range(30)})
    sent = files(*((archive, f"{number}.zip") for number in range(12)))
    response = client.post(f"{V1}/batch", data=sent)
    assert (response.status_code, response.json["type"]) == (422, "urn:cnnclassifier:problem:unreadable-archive")
    assert "more than the 256 MB" in response.json["detail"]


def test_archives_files_are_counted_over_all_of_a_request(classifier):
    few = app_serving(classifier, CONFIG.model_copy(update={"max_files": 3})).test_client()
    archive = zipped(a=picture(), b=picture())
    response = few.post(f"{V1}/batch", data=files((archive, "1.zip"), (archive, "2.zip")))
    assert (response.status_code, response.json["detail"]) == (422, "4 files are more than the 3 taken at a time")
    assert few.post(f"{V1}/batch", data=files((archive, "1.zip"), (picture(), "a.png"))).json["answered"] == 3


def test_an_explanation_lies_over_the_picture_and_peaks_where_the_colour_is(explaining):
    answer = explaining.post(f"{V1}/explain", data=files((with_spot(RED, 36, 12, SIDE), "a.png"))).json
    assert list(answer["maps"]) == list(CLASSES)
    mine = answer["maps"]["adenocarcinoma"]
    row, column = mine["peak"]
    assert abs(row - 36) <= 6
    assert abs(column - 12) <= 6
    overlay = Image.open(io.BytesIO(base64.b64decode(mine["overlay"].removeprefix("data:image/png;base64,"))))
    assert overlay.size == (SIDE, SIDE)
    opacity = np.asarray(overlay.convert("RGBA"))[..., 3]
    assert opacity[36, 12] > 200
    assert opacity[6, 40] < 20


def test_an_explanation_answers_as_a_prediction_does(explaining):
    sent = {"data": picture("normal"), "content_type": "image/png"}
    told = explaining.post(f"{V1}/explain", **sent).json["answer"]
    plain = explaining.post(f"{V1}/predict", **sent).json
    assert {**told, "request_id": "", "answered_at": ""} == {**plain, "request_id": "", "answered_at": ""}


def test_a_model_without_maps_says_that_it_cannot_explain(client):
    response = client.post(f"{V1}/explain", data=files((picture(), "a.png")))
    assert (response.status_code, response.json["type"]) == (404, "urn:cnnclassifier:problem:no-explanation")


def test_what_a_browser_cannot_show_comes_back_as_a_png(client):
    tiff = picture(kind="TIFF", size=(1500, 30))
    response = client.post(f"{V1}/picture", data=files((tiff, "a.tif")))
    assert response.mimetype == "image/png"
    assert Image.open(io.BytesIO(response.data)).size == (1024, 20)


@pytest.mark.parametrize(("frame", "center"), [(0, -600), (1, 40)])
def test_a_frame_is_shown_and_classified_through_its_own_window(client, classifier, frame, center):
    data = dicom.enhanced((-600, 0), (40, 0))
    answer = client.post(f"{V1}/predict?frame={frame}", data=files((data, "a.dcm"))).json
    assert answer["picture"]["dicom"]["window"] == {"center": center, "width": 400}
    pixels = decode_dicom(data, frame=frame)
    (expected,) = classifier.classify_batch(prepare(pixels, classifier.spec.preprocessing)[None])
    assert answer["probabilities"] == pytest.approx(expected.probabilities, abs=1e-5)
    shown = Image.open(io.BytesIO(client.post(f"{V1}/picture?frame={frame}", data=files((data, "a.dcm"))).data))
    np.testing.assert_allclose(np.asarray(shown), pixels[..., 0], atol=0.51)


@pytest.mark.parametrize(
    "query",
    [
        "frame=-1",
        "frame=x",
        "window_width=0",
        "window_center=nan",
        "window_width=inf",
        "model=../x",
        "modle=colours",
        "format=xml",
    ],
)
def test_a_query_out_of_range_or_misspelt_is_a_problem_that_names_it(client, query):
    response = client.post(f"{V1}/batch?{query}", data=files((picture(), "a.png")))
    assert (response.status_code, response.content_type) == (422, "application/problem+json")
    assert query.partition("=")[0] in response.json["detail"]


def test_one_zip_is_answered_as_several_files_are(client):
    held = zipped(**{"a.png": picture(), "b.png": coloured((0, 250, 0))})
    for sent in ({"data": files((held, "scans.zip"))}, {"data": held, "content_type": "application/zip"}):
        answer = client.post(f"{V1}/predict", **sent).json
        assert [result["name"] for result in answer["results"]] == ["a.png", "b.png"]


@pytest.mark.parametrize("route", ["predict", "batch"])
def test_no_image_at_all_is_a_bad_request(client, route):
    assert client.post(f"{V1}/{route}", json={"images": []}).status_code == 400


def test_a_window_needs_both_its_centre_and_its_width(client):
    response = client.post(f"{V1}/predict?window_center=40", data=files((picture(), "a.png")))
    assert (response.status_code, "go together" in response.json["detail"]) == (422, True)


def test_only_the_answer_of_the_version_asked_for_goes_to_the_family_s_route(client):
    answer = client.post("/predict", data=files((picture(), "a.png"))).json
    assert set(answer) == {
        "state", "label", "confidence", "probabilities", "prediction_set", "changes", "model", "version", "synthetic",
        "disclaimer",
    }  # fmt: skip


def test_without_a_model_the_api_says_so():
    def missing() -> Classifier:
        raise FileNotFoundError

    models = ModelHolder(missing)
    client = create_app(Models(models), CONFIG, ROOT).test_client()
    assert client.post(f"{V1}/predict", data=files((picture(), "a.png"))).status_code == 503
    assert client.get(f"{V1}/models").json["models"] == []
    assert client.get(f"{V1}/samples").json == {"samples": []}
