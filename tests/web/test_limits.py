import io

import pytest
from pydantic import ValidationError
from tiny_app import CONFIG, ROOT
from tiny_model import picture

from cnnClassifier.config.types import ServingConfig
from cnnClassifier.errors import ConfigError, TrackingError
from cnnClassifier.web import ModelHolder, Models, create_app
from cnnClassifier.web.limits import Guard, guard

KEY = "a key for the tests"
OPEN = ["/", "/health", "/ready"]


def client_behind(guarded: Guard, classifier):
    models = ModelHolder(lambda: classifier)
    models.load_once()
    return create_app(Models(models), CONFIG, ROOT, guarded).test_client()


@pytest.fixture
def locked(classifier):
    return client_behind(Guard(KEY), classifier)


def ask(client, **headers: str):
    return client.post("/predict", data={"image": (io.BytesIO(picture()), "scan.png")}, headers=headers)


@pytest.mark.parametrize(
    "headers", [{"X-API-Key": KEY}, {"Authorization": f"Bearer {KEY}"}, {"Authorization": f"bearer {KEY}"}]
)
def test_who_sends_the_key_is_answered(locked, headers):
    assert ask(locked, **headers).json["label"] == "adenocarcinoma"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": ""},
        {"X-API-Key": KEY[:-1]},
        {"X-API-Key": KEY + "x"},
        {"X-API-Key": KEY.upper()},
        {"X-API-Key": "schlüssel"},
        {"Authorization": KEY},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": "Bearer"},
    ],
)
def test_who_does_not_is_told_how_to(locked, headers):
    response = ask(locked, **headers)
    assert (response.status_code, response.content_type) == (401, "application/problem+json")
    assert response.headers["WWW-Authenticate"].lower().startswith("bearer ")
    assert "X-API-Key" in response.json["detail"]
    assert KEY not in response.text
    assert response.headers["X-Request-ID"]


def test_figures_need_the_key_and_what_says_nothing_of_images_does_not(locked):
    assert locked.get("/metrics").status_code == 401
    assert locked.get("/metrics", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200
    assert [locked.get(address).status_code for address in OPEN] == [200, 200, 200]
    assert locked.get("/static/style.css").status_code != 401
    assert locked.get("/nothing").status_code == 404


WHERE = "http://internal-mlflow.example:5000: cannot ask for colours@champion"


def test_who_has_no_key_is_not_told_where_a_model_was_looked_for():
    def load():
        raise TrackingError(WHERE)

    models = ModelHolder(load)
    models.load_once()
    client = create_app(Models(models), CONFIG, ROOT, Guard(KEY)).test_client()
    for address in ("/ready", "/model-card"):
        stranger = client.get(address)
        assert (stranger.status_code, stranger.json["title"]) == (503, "No model is being served")
        assert "internal" not in stranger.text
        assert client.get(address, headers={"X-API-Key": KEY}).json["detail"] == WHERE


def test_who_has_no_key_is_told_of_a_notice_but_not_what_is_in_it(classifier):
    def look(_):
        raise TrackingError(WHERE)

    models = ModelHolder(lambda: classifier, look)
    models.load_once()
    client = create_app(Models(models), CONFIG, ROOT, Guard(KEY)).test_client()
    assert "not yet compared" in client.get("/ready").json["notice"]
    models.look_once()
    assert client.get("/ready").json["notice"].startswith("this may not be the model that the registry now names")
    assert WHERE in client.get("/ready", headers={"X-API-Key": KEY}).json["notice"]


def test_a_route_that_somebody_adds_is_closed(classifier):
    models = ModelHolder(lambda: classifier)
    app = create_app(Models(models), CONFIG, ROOT, Guard(KEY))
    app.get("/new")(lambda: "secret")
    assert app.test_client().get("/new").status_code == 401


def test_the_key_comes_from_the_environment_and_is_no_short_one():
    assert guard({}, None) == Guard(None, None)
    assert guard({"CNNCLASSIFIER_API_KEY": ""}, None).key is None
    assert guard({"CNNCLASSIFIER_API_KEY": KEY}, "5 per minute") == Guard(KEY, "5 per minute")
    with pytest.raises(ConfigError, match=r"CNNCLASSIFIER_API_KEY .*16 characters\. Received: 5"):
        guard({"CNNCLASSIFIER_API_KEY": "short"}, None)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_end_of_a_line_is_no_part_of_the_key(end):
    assert guard({"CNNCLASSIFIER_API_KEY": KEY + end}, None) == Guard(KEY)


@pytest.mark.parametrize("key", [f" {KEY}", f"{KEY} ", f"{KEY}\t", f"{KEY}\nX", f"{KEY}ü", f"{KEY}€", f"{KEY}\x7f"])
def test_a_key_that_no_client_could_send_is_refused(key):
    with pytest.raises(ConfigError, match="only printable ASCII characters") as refused:
        guard({"CNNCLASSIFIER_API_KEY": key}, None)
    assert KEY not in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"threads": 16, "queue": 16}, "`threads` must be more than `queue`"),
        ({"max_upload_mb": 16, "upload_memory_mb": 31}, "at least twice `max_upload_mb`"),
        ({"rate_limit": "often"}, "rate_limit"),
        ({"rate_limit": "0 per minute"}, "rate_limit"),
        ({"logs": "xml"}, "logs"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, said):
    with pytest.raises(ValidationError, match=said):
        ServingConfig(**settings)


def test_a_client_that_asks_too_often_waits_and_another_does_not(classifier):
    client = client_behind(Guard(rate="2 per hour"), classifier)
    assert [ask(client).status_code for _ in range(3)] == [200, 200, 429]
    refused = ask(client)
    assert refused.content_type == "application/problem+json"
    assert refused.json["type"] == "urn:cnnclassifier:problem:too-often"
    assert "2 per hour" in refused.json["detail"]
    assert 1 <= int(refused.headers["Retry-After"]) <= 3600
    assert [client.get(address).status_code for address in OPEN] == [200, 200, 200]
    picture_file = {"image": (io.BytesIO(picture()), "scan.png")}
    other = client.post("/predict", data=picture_file, environ_base={"REMOTE_ADDR": "10.0.0.9"})
    assert other.status_code == 200


def test_a_rate_leaves_the_retry_after_of_other_refusals_alone():
    models = ModelHolder(lambda: None)  # loading for ever
    client = create_app(Models(models), CONFIG, ROOT, Guard(rate="9 per hour")).test_client()
    refused = ask(client)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")


def test_what_a_client_writes_into_a_header_makes_it_no_other_client(classifier):
    client = client_behind(Guard(rate="1 per hour"), classifier)
    answers = [ask(client, **{"X-Forwarded-For": f"10.0.0.{number}"}).status_code for number in range(3)]
    assert answers == [200, 429, 429]


def test_wrong_keys_count_too(classifier):
    client = client_behind(Guard(KEY, "3 per hour"), classifier)
    answers = [ask(client, **{"X-API-Key": f"guess number {number:05}"}).status_code for number in range(5)]
    assert answers == [401, 401, 401, 429, 429]
