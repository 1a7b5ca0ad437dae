import base64
import io
import logging
import struct
import zlib

import pytest
from PIL import Image
from tiny_app import CONFIG, ROOT
from tiny_model import noise, picture

from cnnClassifier.web import ModelHolder, Models, create_app


def png_header_only(width: int, height: int) -> bytes:
    """A PNG that promises `width` x `height` pixels and brings next to none."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + content


def animation() -> bytes:
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("#f00", "#0f0", "#00f")]
    encoded = io.BytesIO()
    frames[0].save(encoded, "GIF", save_all=True, append_images=frames[1:])
    return encoded.getvalue()


UNREADABLE = {
    "zero bytes": b"",
    "text": b"patient 17, slice 4\n" * 50,
    "html": b"<!doctype html><script>alert(1)</script>",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "truncated png": noise(64)[:5000],
    "truncated jpeg": picture(kind="JPEG")[:300],
    "signature only": b"\x89PNG\r\n\x1a\n",
    "decompression bomb": png_header_only(30_000, 30_000),
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n",
    "zip": b"PK\x03\x04" + bytes(200),
    "pdf": b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n%%EOF",
}


def assert_problem(response, status: int, *words: str) -> None:
    assert response.status_code == status
    assert response.content_type == "application/problem+json"
    assert response.json["status"] == status
    assert set(response.json) == {"type", "title", "status", "detail"}
    assert response.json["title"]
    assert "Traceback" not in response.text
    for word in words:
        assert word in response.json["detail"]


def upload(client, data: bytes, field: str = "image"):
    return client.post("/predict", data={field: (io.BytesIO(data), "scan.png")})


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_that_is_no_picture_is_refused_with_a_reason(client, content):
    response = upload(client, content)
    assert_problem(response, 422)
    assert response.json["type"] == "urn:cnnclassifier:problem:unreadable-image"
    encoded = base64.b64encode(content).decode()
    assert_problem(client.post("/predict", json={"image": encoded}), 422)


def test_more_pixels_than_allowed_are_refused_before_decoding(client):
    response = upload(client, png_header_only(2001, 2000))
    assert_problem(response, 422, "2001 x 2000", "4,000,000")


def test_a_single_pixel_is_a_picture(client):
    assert upload(client, picture("normal", size=(1, 1))).json["label"] == "normal"


def test_the_first_frame_of_an_animation_counts(client):
    assert upload(client, animation()).json["label"] == "adenocarcinoma"


def test_a_wrong_field_name_is_answered_with_the_right_one(client):
    assert_problem(
        upload(client, picture(), field="foo"), 400, "'image'", "Received: 0; other fields, which are not taken: foo"
    )
    sent = {"foo": (io.BytesIO(picture()), "scan.png")}
    assert_problem(
        client.post("/api/v1/predict", data=sent), 400, "'image'. Received: 0; other fields, which are not taken: foo"
    )


@pytest.mark.parametrize("path", ["/predict", "/api/v1/predict", "/api/v1/batch"])
def test_what_belongs_into_the_address_is_not_ignored_in_the_body(client, path):
    form = {"image": (io.BytesIO(picture()), "scan.png"), "window_center": "3"}
    hint = "goes into the address: ?model="
    assert_problem(
        client.post(path, data=form), 400, "Received: 1; other fields, which are not taken: window_center", hint
    )
    image = base64.b64encode(picture()).decode()
    sent = client.post(path, json={"image": image, "model": "another"})
    assert_problem(sent, 400, "model: Extra inputs are not permitted", hint)
    misspelt = client.post(path, json={"image": image, "modle": "another"})
    assert_problem(misspelt, 400, 'send {"image": "<base64>"}: modle: Extra inputs are not permitted')


def test_half_a_window_is_said_to_be_half(client):
    asked = client.post("/api/v1/predict?window_center=3", data={"image": (io.BytesIO(picture()), "scan.png")})
    assert_problem(asked, 422, "window_center and window_width go together")
    assert asked.json["detail"] == "window_center and window_width go together"


def test_two_files_are_one_too_many(client):
    files = [(io.BytesIO(picture()), "one.png"), (io.BytesIO(picture()), "two.png")]
    assert_problem(client.post("/predict", data={"image": files}), 400, "Received: 2")


def test_a_text_field_is_no_file(client):
    response = client.post("/predict", data={"image": "text"}, content_type="multipart/form-data")
    assert_problem(response, 400, "file")


@pytest.mark.parametrize("body", ['{"image": "%%%"}', '{"image": "abc"}', '{"image": "ä"}'])
def test_what_is_not_base64_is_called_so(client, body):
    response = client.post("/predict", data=body.encode(), content_type="application/json")
    assert_problem(response, 400, "base64")


@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b'{"image": 5}', b'{"picture": "AAAA"}', b"{", b"", b"\xff"])
def test_json_without_an_image_is_told_what_to_send(client, body):
    response = client.post("/predict", data=body, content_type="application/json")
    assert_problem(response, 400, '{"image": "<base64>"}')


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "image/svg+xml", None])
def test_another_content_type_is_told_what_to_send(client, kind):
    response = client.post("/predict", data=picture(), content_type=kind)
    assert_problem(response, 415, "multipart/form-data", "application/json")


def test_a_body_above_the_limit_is_refused(client):
    assert_problem(upload(client, bytes(3 * 2**20)), 413, "2 MB")
    assert_problem(client.post("/predict", json={"image": "A" * 3 * 2**20}), 413, "2 MB")


def test_a_large_field_of_text_is_told_what_to_send_and_not_that_it_is_too_large(client):
    response = client.post("/predict", data={"image": "A" * 600_000}, content_type="multipart/form-data")
    assert_problem(response, 400, "send one file in the field 'image'")


def test_a_form_of_many_files_is_refused_by_their_number(client):
    def sent(number: int):
        return client.post("/api/v1/batch", data={"image": [(io.BytesIO(b"x"), f"{n}.png") for n in range(number)]})

    assert_problem(sent(1200), 422, "1200 files are more than the 500")
    assert_problem(sent(1501), 413, "more than the 1500 parts")


def test_unknown_addresses_and_methods_are_problems_too(client):
    assert_problem(client.get("/nothing"), 404, "/api/v1/docs")
    response = client.get("/predict")
    assert_problem(response, 405, "GET is not for this address; it takes OPTIONS, POST")
    assert "POST" in response.headers["Allow"]


# As Chromium sends it.
BROWSER = {
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,"
    "application/signed-exchange;v=b3;q=0.7"
}


@pytest.mark.parametrize("address", ["/nope", "/<b>nope", "/model-card", "/model-card?model=%3Cb%3E"])
def test_who_opens_what_is_not_there_in_a_browser_gets_a_page_with_a_way_back(client, address):
    response = client.get(address, headers=BROWSER, base_url="http://localhost/ward")
    assert (response.status_code, response.mimetype) == (404, "text/html")
    assert 'href="/ward/">Back to the page' in response.text
    assert "<b>" not in response.text
    assert "..<" not in response.text
    assert response.headers["Vary"] == "Accept"


@pytest.mark.parametrize("address", ["/api/v1/nope", "/api/v1/models/nope", "/static/nope.js"])
def test_the_api_and_its_files_answer_a_browser_as_they_answer_a_program(client, address):
    assert_problem(client.get(address, headers=BROWSER), 404)


def test_a_value_of_the_wrong_kind_is_said_to_be_one(client):
    sent = {"image": (io.BytesIO(picture()), "scan.png")}
    response = client.post("/api/v1/predict?frame=abc", data=sent)
    assert_problem(response, 422, "frame: Input should be a valid integer")
    assert response.json["title"] == "This address is not understood"


def test_a_bug_is_logged_and_not_shown(classifier, caplog):
    models = ModelHolder(lambda: classifier)
    app = create_app(Models(models), CONFIG, ROOT)

    @app.get("/bug")
    def bug() -> str:
        raise ZeroDivisionError("secret inner state")

    with caplog.at_level(logging.ERROR):
        response = app.test_client().get("/bug")
    assert_problem(response, 500)
    assert "secret" not in response.text
    assert "secret inner state" in caplog.text
