import dataclasses
import logging
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from tiny_app import CONFIG, ROOT, running
from tiny_model import picture

from cnnClassifier.errors import ModelError, TrackingError
from cnnClassifier.web import ModelHolder, Models, create_app
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
    client = create_app(Models(models), CONFIG, ROOT).test_client()
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
    problem = create_app(Models(models), CONFIG, ROOT).test_client().get("/ready").json
    assert problem["detail"] == str(trouble)
    assert ("advice" in problem) == advised


class Registry:
    """What a holder looks at: `champion` is a classifier or what looking raises."""

    def __init__(self, champion) -> None:
        self.champion = champion
        self.looked = threading.Semaphore(0)

    def load(self):
        return self.champion

    def look(self, current):
        self.looked.release()
        if isinstance(self.champion, Exception):
            raise self.champion
        return None if self.champion is current else self.champion


@pytest.fixture
def registry(classifier):
    return Registry(classifier)


@pytest.fixture
def models(registry):
    models = ModelHolder(registry.load, registry.look)
    models.load_once()
    return models


def ready(models: ModelHolder) -> dict:
    response = create_app(Models(models), CONFIG, ROOT).test_client().get("/ready")
    assert response.status_code == 200
    return response.json


def test_a_model_says_that_it_is_not_compared_with_the_registry_until_it_is(models):
    assert "not yet compared" in ready(models)["notice"]
    models.look_once()
    assert ready(models)["notice"] is None


def test_another_champion_takes_the_place_of_the_model(models, registry, deciding):
    registry.champion = deciding
    models.look_once()
    assert (ready(models)["model"], ready(models)["notice"]) == ("deciding", None)


@pytest.mark.parametrize("trouble", [TrackingError("the registry is down"), ModelError("version 3 is unfit")])
def test_trouble_leaves_the_model_and_a_notice_and_is_warned_of_once(models, registry, classifier, trouble, caplog):
    registry.champion = trouble
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            models.look_once()
    assert caplog.messages == [f"{trouble}; going on with colours version 7"]
    assert ready(models)["notice"] == caplog.messages[0]
    registry.champion = classifier
    models.look_once()
    assert ready(models)["notice"] is None


def test_a_bug_while_looking_is_logged_and_the_model_stays(models, registry, caplog):
    registry.champion = ZeroDivisionError("a bug")
    models.look_once()
    assert "a bug" in caplog.text
    assert "log says why" in ready(models)["notice"]


def test_a_call_makes_it_look_at_once(registry, deciding):
    models = ModelHolder(registry.load, registry.look, refresh_seconds=3600)
    models.start()
    assert registry.looked.acquire(timeout=30)  # after loading
    registry.champion = deciding
    models.look_now()
    assert registry.looked.acquire(timeout=30)
    models.look_now()  # the look before is over when this one begins
    assert registry.looked.acquire(timeout=30)
    assert models.get() is deciding
    models.stop()


def test_no_request_is_dropped_while_the_champion_changes(models, registry, classifier):
    """32 changes under 4 clients: each answer is of one of the two versions, and whole."""
    other = dataclasses.replace(classifier, version="8")
    over = threading.Event()

    def client(address: str) -> set[str]:
        versions = set()
        with requests.Session() as session:
            while not over.is_set():
                answer = session.post(
                    f"{address}/predict", files={"image": ("scan.png", picture("normal"))}, timeout=30
                )
                assert answer.json()["label"] == "normal"
                versions.add(answer.json()["version"])
        return versions

    with running(create_app(Models(models), CONFIG, ROOT)) as address, ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(client, address) for _ in range(4)]
        try:
            for change in range(32):
                registry.champion = other if change % 2 == 0 else classifier
                models.look_once()
                requests.get(f"{address}/ready", timeout=30).raise_for_status()
        finally:
            over.set()
        assert set.union(*(each.result() for each in clients)) <= {"7", "8"}
    assert models.get().version == "7"


def test_the_end_of_the_process_waits_for_a_model_that_is_being_loaded():
    program = """
import threading, time
from cnnClassifier.web import ModelHolder

begun = threading.Event()

def load():
    begun.set()
    time.sleep(0.5)
    print("loaded", flush=True)
    raise SystemExit  # ends the thread

ModelHolder(load).start()
begun.wait()
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "loaded\n"
