"""A registered version is fetched whole, with the Keras model it was made of."""

import pytest

from cnnClassifier.errors import ModelError
from cnnClassifier.model_spec import SPEC_FILE, read_spec
from cnnClassifier.tracking import registry
from cnnClassifier.tracking.originals import fetch_original
from cnnClassifier.tracking.packaging import save_pyfunc
from cnnClassifier.tracking.run import open_run

NAME = "whole"


def test_a_version_is_fetched_by_number_or_alias(local, settings, package, tmp_path):
    keras = tmp_path / "keras"
    keras.mkdir()
    (keras / SPEC_FILE).write_bytes((package / SPEC_FILE).read_bytes())
    for number, original in enumerate((keras, None)):
        save_pyfunc(package, original, tmp_path / f"model{number}", read_spec(package))
        run = open_run(local, settings, tmp_path / f"cache{number}")
        registry.register(run, tmp_path / f"model{number}", NAME, "x", {})
    first = fetch_original(local, NAME, 1, "champion", tmp_path / "first")
    assert first.model.version == 1
    assert read_spec(first.package) == read_spec(first.keras) == read_spec(package)
    second = fetch_original(local, NAME, None, "challenger", tmp_path / "second")
    assert (second.model.version, second.keras) == (2, None)
    with pytest.raises(ModelError, match="whole has no version 7; there are: 1, 2"):
        fetch_original(local, NAME, 7, "champion", tmp_path)
    with pytest.raises(ModelError, match="no model whole@champion"):
        fetch_original(local, NAME, None, "champion", tmp_path)
