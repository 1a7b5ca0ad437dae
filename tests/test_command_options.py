"""An option that would be ignored is an error that names it."""

from pathlib import Path

import pytest

from cnnClassifier.cli import app
from cnnClassifier.errors import ConfigError, DataError
from imports import ROOT


def run(*arguments: str) -> None:
    app(arguments, standalone_mode=False)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_BACKEND_STORE_URI", "MLFLOW_ARTIFACTS_DESTINATION", "CNNCLASSIFIER_SWEEP_STORAGE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--prune", "--share"], "--prune and --share"),
        (["--prune", "--ray", "auto"], "--prune and --ray"),
        (["--share", "--prune", "--ray", "auto"], "--prune, --share and --ray"),
    ],
)
def test_features_does_one_job_at_a_time(options, named):
    with pytest.raises(ConfigError, match=f"^features: {named} are different jobs; give one of them$"):
        run("features", *options)


@pytest.mark.parametrize(
    ("command", "option", "needed"),
    [
        (["features", "--limit-gb", "1"], "--limit-gb", "--prune"),
        (["features", "--share", "--limit-gb", "1"], "--limit-gb", "--prune"),
        (["features", "--threads", "2"], "--threads", "--ray"),
        (["features", "--workers", "2"], "--workers", "--ray"),
        (["score", ".", "--out", "out", "--workers", "2"], "--workers", "--ray"),
        (["score", ".", "--out", "out", "--images", "x"], "--images", "a manifest"),
        (["score", "a.png", "--out", "out", "--images", "x"], "--images", "a manifest"),
        (["score", "s3://bucket/list.csv", "--out", "out", "--images", "x"], "--images", "a manifest"),
        (["robustness", "--split", "test", "--deals", "3"], "--deals", "--split train"),
        (["backup", "--out", "a.tar", "--artifacts", "x"], "--artifacts", "--database"),
        (["restore", "a.tar", "--artifacts", "x"], "--artifacts", "--database"),
    ],
)
def test_an_option_without_what_it_needs_is_refused(command, option, needed):
    with pytest.raises(ConfigError, match=f"^{option} has no effect without {needed}; give both or neither$"):
        run(*command)
    assert not list(Path().iterdir())


def test_a_folder_called_like_a_table_is_no_manifest():
    Path("scans.csv").mkdir()
    with pytest.raises(ConfigError, match="without a manifest"):
        run("score", "scans.csv", "--out", "out", "--images", "x")


def test_images_of_a_manifest_are_not_refused():
    Path("scans.csv").write_text("path\n")
    with pytest.raises(DataError, match=r"no such file|no files"):
        run("score", "scans.csv", "--out", "out", "--images", "x", "--package", "none")


def test_artifacts_in_the_environment_may_stand_alone(monkeypatch):
    monkeypatch.setenv("MLFLOW_ARTIFACTS_DESTINATION", "s3://bucket/mlflow")
    with pytest.raises(ConfigError, match=r"config\.yaml"):
        run("backup", "--out", "a.tar")


def test_a_version_is_exported_by_its_number_or_its_alias():
    with pytest.raises(ConfigError, match="--version and --alias are two ways"):
        run("export", "--format", "onnx", "--out", "o", "--model", "m", "--version", "1", "--alias", "challenger")


@pytest.mark.parametrize(
    "command",
    [
        ["predict", "a.png", "--model", ""],
        ["evaluate", "--data", ".", "--model", " "],
        ["score", ".", "--out", "out", "--model", ""],
        ["drift", "--model", ""],
        ["feedback", "--out", "a.csv", "--model", ""],
        ["promote", "1", "--because", "x", "--name", ""],
        ["compare", "--candidates", ""],
        ["sweep", "--storage", ""],
        ["readme", "--sample", ""],
        ["backup", "--out", "a.tar", "--database", ""],
    ],
)
def test_an_empty_value_does_not_silently_mean_the_default(command):
    with pytest.raises(Exception, match="the value is empty") as raised:
        run(*command)
    assert type(raised.value).__name__ == "BadParameter"


def test_an_empty_variable_means_the_default(monkeypatch):
    monkeypatch.setenv("CNNCLASSIFIER_SWEEP_STORAGE", "")
    with pytest.raises(ConfigError, match=r"\.yaml"):
        run("sweep")


def test_a_sample_without_a_run_is_refused_and_not_forgotten(monkeypatch):
    Path("config").symlink_to(ROOT / "config")
    with pytest.raises(DataError, match="no finished run for --sample"):
        run("readme", "--sample", "a tenth of it")
