import os
from pathlib import Path

import pandas as pd
import pytest
from finished_project import CLASSES, NAME, picture

import registry_content
from cnnClassifier import DISCLAIMER
from cnnClassifier.errors import ModelError, TrackingError
from cnnClassifier.files import write_json
from cnnClassifier.inference import Classifier
from cnnClassifier.tracking import registry
from cnnClassifier.tracking.client import import_mlflow
from cnnClassifier.tracking.connection import connect
from cnnClassifier.tracking.run import open_run
from mlflow_servers import front_door


def test_a_model_is_registered_found_and_fetched_everywhere(place, settings, paths, model_folder, package, tmp_path):
    run = open_run(place, settings, paths.cache)
    tags = {"data.test_sha256": "abc"}
    version = registry.register(run, model_folder, NAME, "Four classes of chest CT.", tags)
    assert registry.find(place, NAME, "challenger") == registry.RegisteredModel(NAME, version, run.run_id, tags)
    described = place.client.get_model_version(NAME, str(version)).description
    assert described == f"Four classes of chest CT.\n\n{DISCLAIMER}"

    registry.set_alias(place, NAME, version, "champion")
    fetched = registry.download(place, NAME, "champion", tmp_path / "served")
    assert (fetched.version, fetched.name) == (str(version), NAME)
    assert sorted(file.name for file in fetched.folder.iterdir()) == ["model.json", "model.onnx"]
    assert registry.download(place, NAME, "champion", tmp_path / "served") == fetched
    served = Classifier.load(fetched.folder, fetched.name, fetched.version).classify(picture())

    mlflow = import_mlflow()
    mlflow.set_tracking_uri(place.uri)
    loaded = mlflow.pyfunc.load_model(f"models:/{NAME}@champion")
    [answer] = loaded.predict(pd.DataFrame({"image": [picture()]})).to_dict("records")
    assert answer["label"] == served.label
    assert answer["version"] == str(version)
    assert answer["model"] == NAME
    assert {name: answer[f"probability_{name}"] for name in CLASSES} == pytest.approx(served.probabilities)
    run.finish()


def test_a_second_version_takes_the_challengers_place(local, settings, paths, model_folder):
    run = open_run(local, settings, paths.cache)
    first = registry.register(run, model_folder, NAME, "x", {})
    run.finish()
    again = open_run(local, settings, paths.cache)
    assert registry.register(again, model_folder, NAME, "x", {}) == first + 1
    assert registry.find(local, NAME, "challenger").run_id == again.run_id


def test_nothing_is_found_under_an_unknown_name_or_alias(place):
    assert registry.find(place, "no_such_model", "champion") is None


def test_an_unset_alias_finds_nothing_and_fetches_nothing(local, settings, paths, model_folder, tmp_path):
    registry.register(open_run(local, settings, paths.cache), model_folder, NAME, "x", {})
    assert registry.find(local, NAME, "champion") is None
    with pytest.raises(ModelError, match=f"no model {NAME}@champion; run the pipeline"):
        registry.download(local, NAME, "champion", tmp_path / "served")
    assert not (tmp_path / "served").exists()


def test_a_model_of_another_project_is_not_served(local, settings, paths, tmp_path):
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "MLmodel").write_text("flavors: {}\n")
    registry.register(open_run(local, settings, paths.cache), tmp_path / "foreign", NAME, "x", {})
    with pytest.raises(TrackingError):
        registry.download(local, NAME, "challenger", tmp_path / "served")
    assert list((tmp_path / "served").iterdir()) == []


@pytest.mark.server
def test_a_server_without_registry_is_told_so_and_keeps_the_run(servers, settings, paths, model_folder, tracking):
    servers["old"].wait()
    with front_door(servers["old"].port, refuse="registered-models") as address:
        os.environ["MLFLOW_TRACKING_URI"] = address
        server = connect(tracking)
        run = open_run(server, settings, paths.cache)
        with pytest.raises(TrackingError, match=f"no model registry here .*{run.run_id}.*CNNCLASSIFIER_MODEL_DIR"):
            registry.register(run, model_folder, NAME, "x", {})
        model = f"{server.client.get_run(run.run_id).info.artifact_uri}/model"
        kept = import_mlflow().artifacts.list_artifacts(artifact_uri=model, tracking_uri=server.uri)
        assert "MLmodel" in {Path(each.path).name for each in kept}
        run.finish()


def test_a_registry_knows_the_version_that_registration_names_by_its_run(local, package, tmp_path):
    """A clone has registration.json of another registry, and perhaps a first version of its own."""
    file = tmp_path / "registration.json"
    named = {"name": registry_content.NAME, "version": 1, "run_id": "of another registry"}
    write_json(named, file)
    assert registry.registered_as(local, file) is None
    registry_content.fill_registry(local, [package])
    assert registry.registered_as(local, file) is None
    write_json(named | {"run_id": registry.find_version(local, named["name"], 1).run_id}, file)
    assert registry.registered_as(local, file).version == 1
