import os
import shutil
import subprocess
import sys

import pytest
from tiny_app import ROOT
from tiny_model import DECIDING, REFERENCE, write_deciding_package, write_package

import tiny_release
from cnnClassifier.config.loading import load_project
from cnnClassifier.errors import ModelError
from cnnClassifier.model_spec import ONNX_FILE, OUTLIERS_FILE, write_spec
from cnnClassifier.outliers import Reference, save_reference
from cnnClassifier.tracking.connection import Connection, connect
from cnnClassifier.tracking.registry import find, set_alias
from cnnClassifier.web.model_source import load_from_folder, model_source, registry_of
from cnnClassifier.web.registry_source import RegistrySource


@pytest.fixture
def project():
    return load_project(ROOT / "config/config.yaml")


def test_a_folder_in_the_environment_is_served_under_its_own_name_and_digest(project, package):
    classifier = model_source(project, {"CNNCLASSIFIER_MODEL_DIR": str(package)}).load()
    assert classifier.name == "colours"
    assert len(classifier.version) == 12


def test_the_environment_may_name_model_and_version(project, package):
    environment = {
        "CNNCLASSIFIER_MODEL_DIR": str(package),
        "CNNCLASSIFIER_MODEL": "chest_ct",
        "CNNCLASSIFIER_MODEL_VERSION": "12",
    }
    classifier = model_source(project, environment).load()
    assert (classifier.name, classifier.version) == ("chest_ct", "12")


def test_the_version_of_a_folder_follows_its_weights(tmp_path):
    one, other = write_package(tmp_path / "one"), write_package(tmp_path / "other", size=None)
    assert load_from_folder(one).version != load_from_folder(other).version


def test_the_version_of_a_folder_follows_a_refitted_decision(tmp_path):
    folder = write_deciding_package(tmp_path / "model")
    fitted = load_from_folder(folder).version
    save_reference(Reference(REFERENCE.rows, 2 * REFERENCE.deviation), folder / OUTLIERS_FILE)
    other_outliers = load_from_folder(folder).version
    warmer = DECIDING.decision.model_copy(update={"temperature": 1.5})
    write_spec(DECIDING.model_copy(update={"decision": warmer}), folder)
    assert len({fitted, other_outliers, load_from_folder(folder).version}) == 3


def test_the_version_of_a_folder_is_not_its_place_nor_its_card(package, tmp_path):
    copied = shutil.copytree(package, tmp_path / "copied")
    (copied / "model_card.html").write_text("<!doctype html>")
    assert load_from_folder(copied).version == load_from_folder(package).version


def test_without_a_folder_the_registry_is_asked_for_the_alias(project, package, tmp_path, monkeypatch, empty_database):
    shutil.copyfile(empty_database, tmp_path / "mlflow.db")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)  # the cache of fetched models is relative to the project
    tracking = project.tracking.model_copy(update={"uri": f"sqlite:///{tmp_path}/mlflow.db"})
    load = model_source(project.model_copy(update={"tracking": tracking}), {"CNNCLASSIFIER_MODEL": "colours"}).load
    with pytest.raises(ModelError, match="no model colours@champion"):
        load()
    register_twice(connect(tracking), package, "colours")
    classifier = load()
    assert (classifier.name, classifier.version) == ("colours", "2")


def test_the_registry_offers_what_has_the_alias_in_its_list_and_beyond(
    project, package, tmp_path, monkeypatch, empty_database
):
    shutil.copyfile(empty_database, tmp_path / "mlflow.db")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    tracking = project.tracking.model_copy(update={"uri": f"sqlite:///{tmp_path}/mlflow.db"})
    registry = registry_of(project.model_copy(update={"tracking": tracking}), {})
    assert registry.names() == []
    register_twice(connect(tracking), package, "colours")
    assert registry.names() == []  # it was asked a moment ago
    assert (registry.offers("colours"), registry.offers("other")) == (True, False)


def register_twice(connection, package, name: str) -> None:
    """Two versions in a real registry, the second of them champion."""
    connection.client.create_registered_model(name)
    for _ in range(2):
        register_champion(connection, package, name)


def register_champion(connection, package, name: str) -> None:
    """One more version of a registered model, in a real registry."""
    client = connection.client
    if found := client.get_experiment_by_name(name):
        experiment = found.experiment_id
    else:
        experiment = client.create_experiment(name, artifact_location=str(connection.artifact_root))
    run = client.create_run(experiment).info
    client.log_artifacts(run.run_id, str(package), "model/artifacts/package")
    version = client.create_model_version(name, f"{run.artifact_uri}/model", run.run_id).version
    set_alias(connection, name, int(version), "champion")


@pytest.fixture(scope="session")
def released(tmp_path_factory):
    return tiny_release.released(tmp_path_factory.mktemp("released"))


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """MLflow needs seconds to make one."""
    folder = tmp_path_factory.mktemp("database")
    Connection(f"sqlite:///{folder}/mlflow.db", folder).check()
    return folder / "mlflow.db"


@pytest.fixture
def used(fresh, empty_database, tmp_path):
    """The same, some time later: MLflow has its database."""
    shutil.copyfile(empty_database, tmp_path / "mlflow.db")
    return fresh


@pytest.fixture
def fresh(project, released, tmp_path, monkeypatch):
    """A project as cloned: the phantom is active, a model comes with it, nothing is registered."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(ROOT / "config/experiments/phantom.yaml", "params.yaml")
    tracking = project.tracking.model_copy(update={"uri": f"sqlite:///{tmp_path}/mlflow.db"})
    serving = project.serving.model_copy(update={"released": released})
    return project.model_copy(update={"tracking": tracking, "serving": serving})


def test_on_a_fresh_clone_the_released_model_is_served_at_once_and_then_registered(fresh):
    source = model_source(fresh, {})
    classifier = source.load()
    assert (classifier.name, classifier.version, classifier.folder) == ("chest_ct", "1", fresh.serving.released)
    again = source.look(classifier)
    assert (again.name, again.version) == ("chest_ct", "1")
    assert again.folder.is_relative_to(fresh.paths.cache)  # from the registry now
    assert find(connect(fresh.tracking), "chest_ct", "champion").version == 1
    assert source.look(again) is None


def test_a_champion_of_the_active_experiment_comes_before_the_released_model(used, package):
    register_twice(connect(used.tracking), package, "phantom")
    classifier = model_source(used, {}).load()
    assert (classifier.name, classifier.version) == ("phantom", "2")


def test_beside_other_models_the_released_one_is_served_but_is_no_version_of_theirs(used, package):
    server = connect(used.tracking)
    register_twice(server, package, "colours")
    classifier = model_source(used, {}).load()
    assert (classifier.name, len(classifier.version)) == ("chest_ct", 12)
    assert find(server, "chest_ct", "champion") is None


def test_a_model_that_was_asked_for_by_name_is_never_replaced_by_the_released_one(used):
    with pytest.raises(ModelError, match="no model colours@champion"):
        model_source(used, {"CNNCLASSIFIER_MODEL": "colours"}).load()


def test_without_an_experiment_as_in_the_serving_image_the_released_model_is_served(used, package, tmp_path):
    (tmp_path / "params.yaml").unlink()
    register_twice(connect(used.tracking), package, "colours")
    assert model_source(used, {}).load().name == "chest_ct"


def test_a_folder_without_a_model_is_named(project, tmp_path):
    with pytest.raises(ModelError, match="CNNCLASSIFIER_MODEL_DIR must name a package folder"):
        model_source(project, {"CNNCLASSIFIER_MODEL_DIR": str(tmp_path)}).load()


@pytest.fixture
def followed(used, package):
    """A source of a registered model, and what it gave."""
    register_twice(connect(used.tracking), package, "phantom")
    source = RegistrySource(used)
    return source, source.load()


def test_a_new_champion_is_found_tested_and_served_and_one_that_is_back_as_well(followed, used, tmp_path):
    source, second = followed
    assert source.look(second) is None
    server = connect(used.tracking)
    register_champion(server, write_package(tmp_path / "third", size=None), "phantom")
    third = source.look(second)
    assert (third.name, third.version) == ("phantom", "3")
    assert source.look(third) is None
    set_alias(server, "phantom", 1, "champion")
    assert source.look(third).version == "1"


def test_an_equal_package_under_another_version_is_not_loaded_again(followed, used):
    source, second = followed
    set_alias(connect(used.tracking), "phantom", 1, "champion")
    first = source.look(second)
    assert first.version == "1"
    assert first.session is second.session


def test_an_unfit_champion_is_not_served_and_its_successor_is(followed, used, package, tmp_path):
    source, second = followed
    server, broken = connect(used.tracking), shutil.copytree(package, tmp_path / "broken")
    (broken / ONNX_FILE).write_bytes(b"not a model")
    register_champion(server, broken, "phantom")
    for _ in range(2):
        with pytest.raises(ModelError, match=r"phantom version 3 is unfit to serve: .*not an ONNX model"):
            source.look(second)
    register_champion(server, write_package(tmp_path / "fourth", size=None), "phantom")
    assert source.look(second).version == "4"


def test_a_champion_that_is_no_more_is_said_to_be_and_no_other_model_takes_its_place(followed, used):
    source, second = followed
    connect(used.tracking).client.delete_registered_model_alias("phantom", "champion")
    with pytest.raises(ModelError, match="no model phantom@champion or chest_ct@champion"):
        source.look(second)


@pytest.mark.parametrize("for_once", [False, True])
def test_a_start_without_the_registry_serves_what_was_served_last(followed, used, tmp_path, for_once):
    _, second = followed
    (tmp_path / "mlflow.db").write_bytes(b"no database")
    again = RegistrySource(used, for_once=for_once).load()
    assert (again.name, again.version, again.folder) == (second.name, second.version, second.folder)


def test_the_release_gives_way_to_a_champion_that_is_registered_later(used, package):
    server = connect(used.tracking)
    register_twice(server, package, "colours")  # somebody else's: the release is not imported beside it
    source = RegistrySource(used)
    released = source.load()
    assert source.look(released) is None
    register_twice(server, package, "phantom")
    assert source.look(released).name == "phantom"


def test_a_registered_champion_is_loaded_and_followed_without_mlflow(followed, used):
    program = f"""
import pathlib, sys
from cnnClassifier.config.loading import load_project
from cnnClassifier.web.registry_source import RegistrySource
project = load_project(pathlib.Path({str(ROOT / "config/config.yaml")!r}))
serving = project.serving.model_copy(update={{"released": None}})
source = RegistrySource(project.model_copy(update={{"serving": serving}}))
classifier = source.load()
print(classifier.version, source.look(classifier), "mlflow" in sys.modules)
"""
    environment = os.environ | {"MLFLOW_TRACKING_URI": used.tracking.uri}
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert (result.stdout, result.stderr) == ("2 None False\n", "")
