"""Packages as earlier versions of this project wrote them (tests/former, made by those versions) are served as ever.

before_decisions: the first packages. before_maps: with decision, gate and card. release_1: a released model's folder as
of the last release, before there was a training reference.
"""

import io
from pathlib import Path

import pytest
from PIL import Image

from cnnClassifier.config.loading import load_project
from cnnClassifier.config.types import ServingConfig
from cnnClassifier.errors import ModelError
from cnnClassifier.inference import Classifier
from cnnClassifier.monitoring.checking import training_reference
from cnnClassifier.release.folder import read_release
from cnnClassifier.tracking.connection import connect
from cnnClassifier.tracking.released import import_if_empty
from cnnClassifier.web import ModelHolder, Models, create_app
from cnnClassifier.web.registry_source import RegistrySource
from imports import ROOT
from pictures import encode

FORMER = Path(__file__).with_name("former")
PACKAGES = ("before_decisions", "before_maps", "release_1")
RED, GREY = (250, 0, 0), (120, 120, 120)


def client_of(folder: Path):
    holder = ModelHolder(lambda: Classifier.load(folder, "former", "1", threads=1))
    assert holder.load_once()
    return create_app(Models(holder), ServingConfig(), ROOT).test_client()


def ask(client, route: str, colour=RED):
    return client.post(
        f"/api/v1/{route}", data={"image": (io.BytesIO(encode(Image.new("RGB", (40, 40), colour))), "a")}
    )


@pytest.mark.parametrize("name", PACKAGES)
def test_it_is_served(name):
    answer = ask(client_of(FORMER / name), "predict")
    assert answer.status_code == 200
    assert sum(answer.json["probabilities"].values()) == pytest.approx(1)


def test_what_it_answered_then_it_answers_now():
    for name in ("before_decisions", "before_maps"):
        assert ask(client_of(FORMER / name), "predict").json["label"] == "adenocarcinoma"
    assert ask(client_of(FORMER / "before_decisions"), "predict", GREY).json["state"] == "answer"  # no gate yet
    assert ask(client_of(FORMER / "before_maps"), "predict", GREY).json["state"] == "refused"


@pytest.mark.parametrize("name", PACKAGES)
def test_what_it_lacks_is_said(name):
    client = client_of(FORMER / name)
    problem = ask(client, "explain")
    assert problem.status_code == 404
    assert "nor one exported before there were maps" in problem.json["detail"]
    card = client.get("/model-card")
    assert card.status_code == (404 if name == "before_decisions" else 200)
    assert client.get("/ready").json["model_card"] == (name != "before_decisions")
    with pytest.raises(ModelError, match=r"no reference\.npz.*registered before monitoring"):
        training_reference(Classifier.load(FORMER / name, "former", "1"))


def test_a_former_release_is_read_imported_and_served_from_the_registry(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project = load_project(ROOT / "config/config.yaml")
    assert read_release(FORMER / "release_1").name == "chest_ct"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    assert import_if_empty(connect(project.tracking), FORMER / "release_1", tmp_path / "cache") == 1
    served = RegistrySource(project, "chest_ct").load()
    assert (served.name, served.version, served.training) == ("chest_ct", "1", None)
    served.self_test()
