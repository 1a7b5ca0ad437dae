import io
import json
import logging
import re
import shutil
from contextlib import contextmanager

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tiny_app import CONFIG, ROOT, app_serving, app_without_model
from tiny_model import coloured, picture, write_package

from cnnClassifier.inference import Classifier
from cnnClassifier.model_spec import digest_package
from cnnClassifier.web import ModelHolder, Models, create_app
from cnnClassifier.web.logs import JsonLines, configure_logs

RANDOM_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@contextmanager
def json_log():
    """What our loggers write as JSON, line by line."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("cnnClassifier")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    lines: list[dict] = []
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        lines += map(json.loads, written.getvalue().splitlines())


def upload(client, data: bytes, name: str = "scan.png", **more):
    return client.post("/predict", data={"image": (io.BytesIO(data), name)}, **more)


def figures(client) -> dict[str, float]:
    """Every sample as `name{values of its labels, ordered by the labels' names}`, without the prefix."""
    response = client.get("/metrics")
    assert response.content_type.startswith("text/plain; version=0.0.4")
    found = {}
    for family in text_string_to_metric_families(response.text):
        for sample in family.samples:
            labels = ",".join(value for _, value in sorted(sample.labels.items()))
            found[f"{sample.name.removeprefix('cnnclassifier_')}{{{labels}}}"] = sample.value
    return found


def test_every_step_of_a_prediction_is_timed_and_its_answer_counted(deciding):
    client = app_serving(deciding).test_client()
    for colour in ((250, 0, 0), (250, 0, 0), (125, 125, 0), (120, 120, 120)):
        assert upload(client, coloured(colour)).status_code == 200
    seen = figures(client)
    for step in ("read", "decode", "wait", "infer", "total"):
        assert seen[f"step_seconds_count{{{step}}}"] == 4
        assert 0 < seen[f"step_seconds_sum{{{step}}}"] < 60
    assert seen["batch_images_sum{}"] == 4
    assert seen["predictions_total{adenocarcinoma,deciding,answer,8}"] == 2
    assert seen["predictions_total{,deciding,abstained,8}"] == 1
    assert seen["predictions_total{,deciding,refused,8}"] == 1
    assert seen["responses_total{/predict,200}"] == 4
    assert (seen["queue_images{}"], seen["requests_in_work{}"]) == (0, 0)
    assert seen["process_resident_memory_bytes{}"] > 1e6


def test_the_figures_name_the_served_model_and_the_bytes_it_is_made_of(client):
    (model,) = [name for name in figures(client) if name.startswith("model_info")]
    assert re.fullmatch(r"model_info\{[0-9a-f]{12},colours,7\}", model)


def test_without_a_model_there_are_figures_all_the_same(client_without_model):
    upload(client_without_model, picture())
    seen = figures(client_without_model)
    assert seen["responses_total{/predict,503}"] == 1
    assert not [name for name in seen if name.startswith("model_info")]


def test_refusals_are_counted_by_status_and_addresses_that_are_none_do_not_become_labels(classifier):
    client = app_serving(classifier).test_client()
    upload(client, b"no picture")
    for address in ("/nothing", "/patients/muller"):
        client.get(address)
    seen = figures(client)
    assert seen["responses_total{/predict,422}"] == 1
    assert seen["responses_total{unmatched,404}"] == 2
    assert not [name for name in seen if "muller" in name]


def test_two_apps_do_not_share_their_figures(classifier):
    first, second = app_serving(classifier).test_client(), app_serving(classifier).test_client()
    upload(first, picture())
    assert figures(first)["step_seconds_count{infer}"] == 1
    assert figures(second)["step_seconds_count{infer}"] == 0


def test_a_request_is_one_line_that_tells_what_and_how_long_but_not_who_or_of_whom(client):
    with json_log() as lines:
        response = upload(
            client,
            picture(),
            name="Muller_Hans_1957.png",
            query_string={"patient": "Muller"},
            headers={"X-Request-ID": "ward-7.scan_12", "User-Agent": "Muller's browser"},
            environ_base={"REMOTE_ADDR": "10.1.2.3"},
        )
    (line,) = lines
    assert line.pop("time").endswith("+00:00")
    assert 0 < line.pop("ms") < 60_000
    assert line.pop("bytes_in") > 100
    assert line.pop("message").startswith("POST /predict 200 in ")
    assert line == {
        "level": "info",
        "logger": "cnnClassifier.web.observer",
        "request_id": "ward-7.scan_12",
        "method": "POST",
        "route": "/predict",
        "status": 200,
        "model": "colours",
        "version": "7",
        "state": "answer",
        "images": 1,
    }
    assert response.headers["X-Request-ID"] == "ward-7.scan_12"


def test_neither_an_unknown_address_nor_a_bug_writes_what_the_client_wrote(classifier):
    models = ModelHolder(lambda: classifier)
    models.load_once()
    app = create_app(Models(models), CONFIG, ROOT)

    @app.route("/scans/<patient>")
    def bug(patient: str) -> str:
        raise ZeroDivisionError("a bug")

    with json_log() as lines:
        client = app.test_client()
        client.get("/nothing/muller?name=muller")
        assert client.get("/scans/muller").status_code == 500
    assert "muller" not in json.dumps(lines)
    assert [line["route"] for line in lines if "route" in line] == ["unmatched", "/scans/<patient>"]
    (trouble,) = [line for line in lines if line["level"] == "error"]
    assert "ZeroDivisionError: a bug" in trouble["exception"]
    assert trouble["request_id"] == lines[-1]["request_id"]


@pytest.mark.parametrize("sent", ["", "x" * 65, "two words", "a\tb", '"}', "ä", "../etc"])
def test_a_request_id_that_is_not_sane_is_replaced(client, sent):
    given = client.get("/health", headers={"X-Request-ID": sent}).headers["X-Request-ID"]
    assert RANDOM_ID.fullmatch(given)


@pytest.mark.parametrize(("method", "address", "status"), [("get", "/", 200), ("get", "/no", 404), ("put", "/", 405)])
def test_every_answer_has_a_request_id(client, method, address, status):
    response = getattr(client, method)(address)
    assert response.status_code == status
    assert RANDOM_ID.fullmatch(response.headers["X-Request-ID"])


def test_without_a_model_a_request_is_logged_without_one():
    with json_log() as lines:
        app_without_model().test_client().get("/ready")
    (line,) = [line for line in lines if line["logger"].endswith("observer")]
    assert (line["status"], line.get("model")) == (503, None)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("style", "stream", "is_json"),
    [
        ("auto", io.StringIO(), True),
        ("auto", Terminal(), False),
        ("json", Terminal(), True),
        ("plain", io.StringIO(), False),
    ],
)
def test_a_terminal_gets_plain_lines_and_everything_else_json(style, stream, is_json):
    root, before, level = logging.getLogger(), logging.getLogger().handlers[:], logging.getLogger().level
    root.handlers.clear()
    try:
        configure_logs(style, stream=stream)
        logging.getLogger("cnnClassifier.test").info("two\nlines")
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    if is_json:
        assert json.loads(stream.getvalue())["message"] == "two\nlines"
    else:
        assert "INFO cnnClassifier.test: two" in stream.getvalue()


def test_the_figures_name_the_model_s_files_though_these_are_gone(tmp_path):
    folder = write_package(tmp_path / "model")
    served = digest_package(folder)
    client = app_serving(Classifier.load(folder, "colours", "7")).test_client()
    shutil.rmtree(folder)
    assert figures(client)[f"model_info{{{served},colours,7}}"] == 1
