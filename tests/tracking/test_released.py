"""The model that comes with the code is imported into an empty registry, once, and never over anything."""

import threading
from pathlib import Path

import pytest

import tiny_release
from cnnClassifier.config.loading import load_settings
from cnnClassifier.errors import ModelError
from cnnClassifier.inference import Classifier
from cnnClassifier.metrics.predictions import read_predictions
from cnnClassifier.release.folder import read_release
from cnnClassifier.tracking import registry
from cnnClassifier.tracking.connection import Connection
from cnnClassifier.tracking.registry import CHAMPION
from cnnClassifier.tracking.released import WEIGHTS_TAG, import_if_empty, import_release
from cnnClassifier.tracking.run import open_run

NAME = tiny_release.NAME


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_release.released(tmp_path_factory.mktemp("released"))


def register_another(connection: Connection, model_folder: Path, tmp_path: Path, name: str) -> int:
    run = open_run(connection, load_settings(tiny_release.PARAMS), tmp_path / "other cache")
    return registry.register(run, model_folder, name, "Another one.", {})


def test_it_becomes_version_1_and_champion_with_the_evidence_of_a_pipeline_run(place, released, tmp_path):
    assert import_release(place, released, tmp_path / "cache") == 1
    champion = registry.find(place, NAME, CHAMPION)
    run = place.client.get_run(champion.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["grouped_cv.balanced_accuracy"] == 0.5
    assert run.data.params["prepare_base_model.backbone"] == "VGG16"
    for table in ("training/out_of_fold.csv", "evaluation/predictions.csv"):  # what the gate will ask for
        fetched = registry.fetch_file(place, champion.run_id, table, tmp_path / "fetched")
        assert len(read_predictions(fetched).ids) == 8
    served = registry.download(place, NAME, CHAMPION, tmp_path / "served")
    assert sorted(file.name for file in served.folder.iterdir()) == [
        "model.json", "model.onnx", "model_card.html", "model_card.md",
    ]  # fmt: skip
    Classifier.load(served.folder, NAME, "1", threads=1).self_test()
    with pytest.raises(ModelError, match=f"{NAME} has version 1 already"):
        import_release(place, released, tmp_path / "cache")


def test_that_somebody_had_promoted_it_comes_along(local, tmp_path):
    folder = tiny_release.released(tmp_path / "promoted", promoted="no noise upsets it")
    import_release(local, folder, tmp_path / "cache")
    assert registry.find(local, NAME, CHAMPION).tags["promoted.because"] == "no noise upsets it"


def test_an_empty_local_registry_gets_it_once(local, released, tmp_path):
    assert import_if_empty(local, released, tmp_path) == 1
    assert import_if_empty(local, released, tmp_path) is None
    assert [(model.name, model.version) for model in registry.versions(local)] == [(NAME, 1)]


def test_two_that_start_at_once_import_it_once(local, released, tmp_path):
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(import_if_empty(local, released, tmp_path))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers, key=str) == [1, None]
    assert len(registry.versions(local)) == 1


def test_a_registry_with_any_other_model_is_left_alone(local, released, model_folder, tmp_path):
    register_another(local, model_folder, tmp_path, "phantom")
    assert import_if_empty(local, released, tmp_path) is None
    assert [model.name for model in registry.versions(local)] == ["phantom"]
    assert import_release(local, released, tmp_path) == 1  # unless somebody asks for it


def test_a_model_of_its_name_is_never_replaced(local, released, model_folder, tmp_path):
    register_another(local, model_folder, tmp_path, NAME)
    assert import_if_empty(local, released, tmp_path) is None
    with pytest.raises(ModelError, match=f"{NAME} has version 1 already, and a released model never takes"):
        import_release(local, released, tmp_path)
    assert registry.find(local, NAME, CHAMPION) is None


def test_an_import_killed_before_it_was_champion_is_finished(local, released, model_folder, tmp_path):
    run = open_run(local, load_settings(released / "params.yaml"), tmp_path / "released")
    registry.register(run, model_folder, NAME, "Killed.", {WEIGHTS_TAG: read_release(released).weights_sha256})
    assert import_if_empty(local, released, tmp_path) == 1
    assert registry.find(local, NAME, CHAMPION).run_id == run.run_id
    assert local.client.get_run(run.run_id).info.status == "FINISHED"


def test_nothing_is_sent_to_a_server_unasked(released, tmp_path):
    nobody = Connection("http://127.0.0.1:9")
    assert import_if_empty(nobody, released, tmp_path) is None


def test_what_goes_wrong_is_a_warning(local, released, tmp_path, caplog):
    damaged = tmp_path / NAME
    damaged.mkdir()
    (damaged / "release.json").write_text("{}")
    assert import_if_empty(local, damaged, tmp_path / "cache") is None
    assert "is not imported into the registry" in caplog.text


def test_without_a_release_nothing_happens(local, tmp_path):
    assert import_if_empty(local, tmp_path / "models/none", tmp_path / "cache") is None
    assert not (tmp_path / "cache").exists()
