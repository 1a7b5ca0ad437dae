"""What a registry offers, asked without mlflow, is what was registered."""

import pytest
from finished_project import NAME

from cnnClassifier.errors import TrackingError
from cnnClassifier.tracking import registry
from cnnClassifier.tracking.catalogue import Version, list_models, list_versions
from cnnClassifier.tracking.connection import Connection
from cnnClassifier.tracking.run import open_run
from mlflow_servers import free_port


def test_models_with_the_alias_are_listed_and_their_versions_newest_first(place, settings, paths, model_folder):
    name = f"{NAME}_listed"
    run = open_run(place, settings, paths.cache)
    first = registry.register(run, model_folder, name, "Four classes of chest CT.", {})
    assert name not in list_models(place, registry.CHAMPION)
    registry.set_alias(place, name, first, registry.CHAMPION)
    registry.record_decision(run, name, first, {"gate.reason": "there was no champion before"}, {})
    second = registry.register(run, model_folder, name, "Four classes of chest CT.", {})
    assert name in list_models(place, registry.CHAMPION)
    assert list_versions(place, name) == [
        Version(str(second), (registry.CHALLENGER,), None),
        Version(str(first), (registry.CHAMPION,), "there was no champion before"),
    ]
    registry.promote(place, name, second, "checked by hand")
    promoted, before = list_versions(place, name)
    assert (promoted.promoted, before.promoted) == ("checked by hand", None)
    assert set(promoted.aliases) == {registry.CHALLENGER, registry.CHAMPION}
    deleted = registry.register(run, model_folder, name, "Four classes of chest CT.", {})
    place.client.delete_model_version(name, str(deleted))
    assert [each.version for each in list_versions(place, name)] == [str(second), str(first)]
    run.finish()


def test_a_registry_that_is_not_there_yet_offers_nothing(tmp_path):
    server = Connection(f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "mlruns")
    assert list_models(server, registry.CHAMPION) == []
    assert list_versions(server, NAME) == []


def test_a_server_that_does_not_answer_is_an_error():
    server = Connection(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(TrackingError, match="cannot ask registered-models/search"):
        list_models(server, registry.CHAMPION)
