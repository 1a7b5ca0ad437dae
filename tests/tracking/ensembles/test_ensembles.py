"""Two registered models as one: the mean of their calibrated probabilities, served as any other."""

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from finished_project import CLASSES, picture
from registered_members import pictures, served

from cnnClassifier.cli import app as command_line
from cnnClassifier.config.types import ServingConfig
from cnnClassifier.decision import calibrate
from cnnClassifier.ensembles import ENSEMBLE_FILE, command
from cnnClassifier.ensembles.command import make_ensemble
from cnnClassifier.errors import ConfigError, ModelError
from cnnClassifier.files import read_json
from cnnClassifier.preprocessing import preprocess
from cnnClassifier.tracking import registry
from cnnClassifier.tracking.client import import_mlflow
from cnnClassifier.web import ModelHolder, Models, create_app
from imports import ROOT


def test_it_answers_the_mean_of_its_members_in_the_app_and_as_a_pyfunc(members, local, settings, paths, tmp_path):
    said = make_ensemble("both", ["tiny_chest_ct/1", "tiny_chest_ct/2"], settings, paths, local)
    assert said.startswith("both version 1, champion: ")
    both = served(local, "both", tmp_path / "served", registry.CHAMPION)
    mean = np.mean([calibrate(m.classify_pixels(pictures()), m.spec.decision.temperature) for m in members], axis=0)
    np.testing.assert_allclose(both.classify_pixels(pictures()), mean, atol=1e-6)
    certain = np.full((1, 32, 32, 3), 1e6, np.float32)  # probabilities of exactly 0 and 1
    assert 0 in members[0].classify_pixels(certain)
    sure = np.mean([calibrate(m.classify_pixels(certain), m.spec.decision.temperature) for m in members], axis=0)
    np.testing.assert_allclose(both.classify_pixels(certain), sure, atol=1e-6)
    assert np.abs(mean - members[0].classify_pixels(pictures())).max() > 0.01
    holder = ModelHolder(lambda: both)
    holder.load_once()
    client = create_app(Models(holder), ServingConfig(), ROOT).test_client()
    pixels = preprocess(picture(), both.spec.preprocessing)[np.newaxis]
    asked = np.mean([calibrate(m.classify_pixels(pixels), m.spec.decision.temperature) for m in members], axis=0)[0]
    answer = client.post("/api/v1/predict", data={"image": (io.BytesIO(picture()), "a.png")}).get_json()
    assert answer["model"] == "both"
    assert answer["version"] == "1"
    assert list(answer["probabilities"]) == list(CLASSES)
    np.testing.assert_allclose(list(answer["probabilities"].values()), asked, atol=1e-5)
    assert "both version" not in client.get("/model-card").text  # the packed card is older than its version
    assert "Lakshminarayanan" in client.get("/model-card").text
    model = import_mlflow().pyfunc.load_model("models:/both@champion")
    (row,) = model.predict(pd.DataFrame({"image": [picture()]})).to_dict("records")
    np.testing.assert_allclose([row[f"probability_{name}"] for name in CLASSES], asked, atol=1e-5)
    assert (row["model"], row["version"]) == ("both", "1")
    assert both.spec.backbone == "ensemble of tiny, tiny"
    explained = client.post("/api/v1/explain", data={"image": (io.BytesIO(picture()), "a.png")})
    assert explained.status_code >= 400
    assert "an ensemble has no maps" in explained.text


def test_a_second_ensemble_meets_the_first_and_may_be_a_member(members, local, settings, paths, tmp_path):
    make_ensemble("pair", ["tiny_chest_ct/1", "tiny_chest_ct/2"], settings, paths, local)
    said = make_ensemble("pair", ["pair", "tiny_chest_ct/2"], settings, paths, local)
    assert said.startswith("pair version 2, challenger: ")
    assert "of version 1: a gain of" in said
    assert "policy" not in said  # the first member, an ensemble, keeps the audit of its own first member
    both = served(local, "pair", tmp_path / "served")
    about = read_json(both.folder / ENSEMBLE_FILE)
    assert [(each["name"], each["version"]) for each in about["members"]] == [("pair", 1), ("tiny_chest_ct", 2)]
    one, other = (calibrate(m.classify_pixels(pictures()), m.spec.decision.temperature) for m in members)
    np.testing.assert_allclose(both.classify_pixels(pictures()), one / 4 + other * 3 / 4, atol=1e-6)


def test_a_champion_whose_card_was_never_written_can_be_met(members, local, settings, paths, monkeypatch):
    def killed(folder: Path, *_: object) -> None:
        if folder.name == "card":
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(command, "write_card", killed)
        with pytest.raises(KeyboardInterrupt):
            make_ensemble("late", ["tiny_chest_ct/1", "tiny_chest_ct/2"], settings, paths, local)
    assert registry.find(local, "late", registry.CHAMPION).version == 1
    assert "a gain of" in make_ensemble("late", ["tiny_chest_ct/1", "tiny_chest_ct/2"], settings, paths, local)


def test_two_at_a_time_do_not_meddle_with_each_other(members, local, settings, paths, tmp_path, monkeypatch):
    audit, asked = command._audit, ["tiny_chest_ct/1", "tiny_chest_ct/2"]

    def in_the_middle(*given: Any) -> Any:
        monkeypatch.setattr(command, "_audit", audit)
        make_ensemble("second", asked[::-1], settings, paths, local)
        return audit(*given)

    monkeypatch.setattr(command, "_audit", in_the_middle)
    make_ensemble("first", asked, settings, paths, local)
    for name, versions in (("first", [1, 2]), ("second", [2, 1])):
        package = registry.download(local, name, registry.CHALLENGER, tmp_path)
        assert [each["version"] for each in read_json(package.folder / ENSEMBLE_FILE)["members"]] == versions


def test_a_name_that_no_model_may_have_is_told(local, settings, paths):
    with pytest.raises(ConfigError, match=r"^ensemble: name: .* Received: 'my model'$"):
        make_ensemble("my model", ["tiny_chest_ct/1", "tiny_chest_ct/2"], settings, paths, local)


def test_the_command_takes_members_behind_of_or_each_with_its_own(local, settings, tmp_path, monkeypatch):
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text((ROOT / "config/config.yaml").read_text())
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    monkeypatch.chdir(tmp_path)
    assert os.environ["MLFLOW_TRACKING_URI"]
    for order in (["--of", "a/1", "b/2"], ["--of", "a/1", "--of", "b/2"]):
        with pytest.raises(ModelError, match="no model a; run the pipeline"):
            command_line(["ensemble", "both", *order], standalone_mode=False)
