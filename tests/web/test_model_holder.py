import threading
import time

import pytest
from tiny_app import CONFIG, ROOT
from tiny_model import picture

from cnnClassifier.errors import ModelError, TrackingError
from cnnClassifier.web import ModelHolder, create_app
from cnnClassifier.web.model_holder import ModelLoadingError, NoModelError


def wait_for_model(models: ModelHolder, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            models.get()
        except ModelError:
            time.sleep(0.01)
        else:
            return
    models.get()


def test_the_server_answers_while_the_model_is_still_loading(classifier):
    arrival = threading.Event()

    def slow_load():
        arrival.wait(10)
        return classifier

    models = ModelHolder(slow_load)
    models.start()
    client = create_app(models, CONFIG, ROOT).test_client()
    assert client.get("/health").status_code == 200
    waiting = client.get("/ready")
    assert (waiting.status_code, waiting.json["type"]) == (503, "urn:cnnclassifier:problem:model-loading")
    arrival.set()
    wait_for_model(models)
    assert client.get("/ready").json["version"] == "7"


def test_the_model_is_loaded_once_and_kept(classifier):
    loads = []

    def load():
        loads.append(1)
        return classifier

    models = ModelHolder(load, retry_seconds=0.01)
    models.start()
    wait_for_model(models)
    time.sleep(0.1)
    assert models.get() is models.get()
    assert loads == [1]


def test_a_model_trained_after_the_start_is_picked_up(classifier):
    registry = []

    def load():
        if not registry:
            raise ModelError("nothing registered")
        return registry[0]

    models = ModelHolder(load, retry_seconds=0.01)
    models.start()
    time.sleep(0.05)
    with pytest.raises(NoModelError, match="nothing registered"):
        models.get()
    registry.append(classifier)
    wait_for_model(models)


def test_a_surprise_while_loading_is_logged_and_tried_again(classifier, caplog):
    outcomes = [ZeroDivisionError("a bug"), classifier]

    def load():
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    models = ModelHolder(load)
    assert not models.load_once()
    assert "a bug" in caplog.text
    with pytest.raises(NoModelError, match="log"):
        models.get()
    assert models.load_once()
    assert models.get().classify(picture()).label == "adenocarcinoma"


def test_before_the_first_try_the_model_is_loading(classifier):
    with pytest.raises(ModelLoadingError):
        ModelHolder(lambda: classifier).get()


@pytest.mark.parametrize(("trouble", "advised"), [(ModelError("none"), True), (TrackingError("down"), False)])
def test_training_is_advised_only_where_it_helps(trouble, advised):
    def load():
        raise trouble

    models = ModelHolder(load)
    models.load_once()
    problem = create_app(models, CONFIG, ROOT).test_client().get("/ready").json
    assert problem["detail"] == str(trouble)
    assert ("advice" in problem) == advised
