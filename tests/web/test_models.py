"""Several models in one app: each answers under its own name, and is loaded when it is first asked for."""

import io
import threading

import pytest
from tiny_app import CONFIG, ROOT, app_serving
from tiny_model import SPEC, picture, write_package

from cnnClassifier.errors import TrackingError
from cnnClassifier.inference import Classifier
from cnnClassifier.tracking.catalogue import Version
from cnnClassifier.web import ModelHolder, Models, create_app
from cnnClassifier.web.models import Registry

V1 = "/api/v1"


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    other = SPEC.model_copy(update={"classes": ("a", "b", "c", "d"), "description": "The other one."})
    return {"colours": write_package(folder / "colours"), "other": write_package(folder / "other", other)}


class Offer:
    """A registry of the two models; `loaded` are those that were asked for."""

    def __init__(self, packages) -> None:
        self.packages = packages
        self.loaded: list[str] = []
        self.answers = True
        self.unlisted: list[str] = []

    def names(self) -> list[str]:
        if not self.answers:
            raise TrackingError("the server does not answer")
        return list(self.packages)

    def offers(self, name: str) -> bool:
        return name in [*self.names(), *self.unlisted]

    def versions(self, _name: str) -> list[Version]:
        return [Version("2", ("challenger",), None), Version("1", ("champion",), "the first")]

    def holder(self, name: str) -> ModelHolder:
        return ModelHolder(lambda: self.load(name))

    def load(self, name: str) -> Classifier:
        self.loaded.append(name)
        return Classifier.load(self.packages[name], name, "1", threads=1)


@pytest.fixture
def offer(packages):
    return Offer(packages)


@pytest.fixture
def client(offer):
    default = offer.holder("colours")
    default.load_once()
    models = Models(default, Registry(offer.names, offer.offers, offer.versions, offer.holder))
    return create_app(models, CONFIG, ROOT).test_client()


def ask(client, model: str | None = None):
    query = f"?model={model}" if model else ""
    sent = {"image": (io.BytesIO(picture()), "a.png")}
    response = client.post(f"{V1}/predict{query}", data=sent)
    pause = threading.Event()
    for _ in range(200):  # a model that is asked for the first time is loaded first
        if response.status_code != 503:
            break
        assert response.json["type"] == "urn:cnnclassifier:problem:model-loading"
        pause.wait(0.05)
        response = client.post(f"{V1}/predict{query}", data={"image": (io.BytesIO(picture()), "a.png")})
    return response


def test_each_model_answers_under_its_own_name_and_is_loaded_when_it_is_asked_for(client, offer):
    assert ask(client).json["model"] == "colours"
    assert offer.loaded == ["colours"]
    answer = ask(client, "other").json
    assert (answer["model"], answer["label"]) == ("other", "a")
    assert ask(client, "colours").json["model"] == "colours"
    assert offer.loaded == ["colours", "other"]


@pytest.mark.parametrize("registered", [True, False])
def test_the_default_is_not_taken_for_another_while_it_is_loading(offer, registered):
    default = offer.holder("colours")
    registry = Registry(offer.names, offer.offers, offer.versions, offer.holder) if registered else None
    client = create_app(Models(default, registry), CONFIG, ROOT).test_client()
    for address in ("predict?model=colours", "predict"):
        response = client.post(f"{V1}/{address}", data={"image": (io.BytesIO(picture()), "a.png")})
        assert (response.status_code, response.json["type"]) == (503, "urn:cnnclassifier:problem:model-loading")
        assert response.headers["Retry-After"]
    default.load_once()
    assert ask(client, "colours").json["model"] == "colours"
    assert offer.loaded == ["colours"]


def test_a_model_that_nobody_registered_is_not_found(client):
    response = ask(client, "third")
    assert (response.status_code, response.json["type"]) == (404, "urn:cnnclassifier:problem:unknown-model")
    assert "GET /api/v1/models" in response.json["detail"]


def test_a_model_beyond_the_end_of_the_list_is_asked_for_by_its_name(client, offer, packages):
    offer.packages, offer.unlisted = {"colours": packages["colours"]}, ["other"]
    assert [each["name"] for each in client.get(f"{V1}/models").json["models"]] == ["colours"]
    offer.load = lambda name: Classifier.load(packages[name], name, "1", threads=1)
    assert ask(client, "other").json["model"] == "other"


def test_what_a_lost_registry_was_not_asked_is_not_known_rather_than_not_there(client, offer):
    offer.answers = False
    asked = {"image": (io.BytesIO(picture()), "a.png")}
    for response in (client.post(f"{V1}/predict?model=other", data=asked), client.get(f"{V1}/models/other")):
        assert (response.status_code, response.json["type"]) == (503, "urn:cnnclassifier:problem:registry-lost")
        assert response.json["detail"] == "the server does not answer"
        assert response.headers["Retry-After"] == "10"
    offer.answers = True
    assert ask(client, "other").json["model"] == "other"


def test_a_list_that_could_not_be_read_is_not_an_empty_one(offer):
    offer.answers = False

    def nothing_there() -> Classifier:
        raise TrackingError("the server does not answer")

    default = ModelHolder(nothing_there)
    default.load_once()
    models = Models(default, Registry(offer.names, offer.offers, offer.versions, offer.holder))
    response = create_app(models, CONFIG, ROOT).test_client().get(f"{V1}/models")
    assert (response.status_code, response.json["type"]) == (503, "urn:cnnclassifier:problem:registry-lost")


def test_models_are_listed_the_default_first_and_described_once_loaded(client):
    first, second = client.get(f"{V1}/models").json["models"]
    assert (first["name"], first["served"], second["name"], second["served"]) == ("colours", "1", "other", None)
    ask(client, "other")
    described = client.get(f"{V1}/models/other").json
    assert described["description"] == "The other one."
    assert described["versions"][1] == {"version": "1", "aliases": ["champion"], "gate": "the first", "promoted": None}


def test_a_card_loads_no_model_as_anybody_may_ask_for_it(client, offer):
    response = client.get("/model-card?model=other")
    assert (response.status_code, response.json["type"]) == (404, "urn:cnnclassifier:problem:unknown-model")
    assert response.json["detail"] == client.get("/model-card?model=third").json["detail"].replace("third", "other")
    assert offer.loaded == ["colours"]
    ask(client, "other")
    assert client.get("/model-card?model=other").json["detail"] == "model other version 1 has no model card"


def test_behind_a_proxy_a_card_s_address_has_the_proxy_s_prefix(carded):
    client = app_serving(carded).test_client()
    (model,) = client.get(f"{V1}/models", base_url="http://localhost/ward").json["models"]
    assert model["card"] == "/ward/model-card?model=carded"
    assert client.get(model["card"].removeprefix("/ward"), base_url="http://localhost/ward").status_code == 200


def test_a_registry_that_is_lost_stops_no_model_that_is_loaded(client, offer):
    ask(client, "other")
    offer.answers = False
    assert ask(client, "other").status_code == 200
    assert client.get(f"{V1}/models").status_code == 200
