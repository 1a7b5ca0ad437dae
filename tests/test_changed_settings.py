"""Settings that changed since the stages ran: sweep, compare and robustness say so, where dvc.lock can tell."""

import hashlib
import logging
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from cnnClassifier.changed_settings import SECTIONS, warn_of_changed_settings
from cnnClassifier.config.loading import load_settings
from environment import clean_environment
from imports import ROOT
from project import Project

OUTPUTS = {"data_audit": "artifacts/manifest.csv", "training": "artifacts/history.csv"}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The default's settings, and what DVC writes down of a run with them. No images: a command ends soon."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    for file in OUTPUTS.values():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(b"what the stage wrote\r\n")
    project = Project(tmp_path, {**clean_environment(), "PYTHONPATH": str(ROOT / "src")})
    write_lock(project, yaml.safe_load((ROOT / "params.yaml").read_text()))
    monkeypatch.chdir(tmp_path)
    return project


def write_lock(project: Project, params: dict[str, Any]) -> None:
    stages: dict[str, Any] = {name: {"params": {"params.yaml": {name: params[name]}}} for name in params}
    for stage, file in OUTPUTS.items():
        md5 = hashlib.md5((project.root / file).read_bytes(), usedforsecurity=False).hexdigest()
        stages[stage]["outs"] = [{"path": file, "md5": md5}, {"path": "artifacts/folder", "md5": "0.dir"}]
    (project.root / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))


def warnings(caplog: pytest.LogCaptureFixture, *stages: str) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        warn_of_changed_settings(load_settings(), *stages)
    return caplog.messages


def test_nothing_is_said_of_settings_that_are_those_of_the_run(project, caplog):
    assert warnings(caplog, *SECTIONS) == []


def test_one_line_names_every_section_that_changed_and_what_to_do(project, caplog):
    project.set_params(data_ingestion__seed=8, data_audit__near_copy=0.99, prepare_base_model__backbone="SmallCNN")
    project.set_params(training__folds=4, evaluation__resamples=100)
    (said,) = warnings(caplog, "data_audit", "training")
    assert said.startswith("params.yaml: data_ingestion, data_audit, prepare_base_model, training changed since")
    assert "`python main.py` or `dvc repro`" in said


def test_a_search_for_better_training_is_not_told_of_changed_training(project, caplog):
    project.set_params(training__folds=4, prepare_base_model__seed=8)
    assert warnings(caplog, "data_audit") == []


def test_a_default_that_is_written_out_is_no_change(project, caplog):
    project.set_params(training__schedule="constant", data_audit__near_copy="985e-3")
    assert warnings(caplog, *SECTIONS) == []


def test_settings_that_are_none_any_more_have_changed(project, caplog):
    params = yaml.safe_load((project.root / "params.yaml").read_text())
    params["data_audit"]["what_it_was_called"] = params["data_audit"].pop("near_copy")
    write_lock(project, params)
    (said,) = warnings(caplog, *SECTIONS)
    assert said.startswith("params.yaml: data_audit changed since")


def test_nothing_is_said_where_no_run_through_dvc_tells(project, caplog):
    project.set_params(data_ingestion__seed=8, training__folds=4)
    (project.root / OUTPUTS["data_audit"]).write_text("what the stage wrote when it was run by hand\n")
    (said,) = warnings(caplog, *SECTIONS)
    assert said.startswith("params.yaml: training changed since")
    (project.root / OUTPUTS["training"]).unlink()
    assert warnings(caplog, *SECTIONS) == []
    (project.root / "dvc.lock").write_text("schema: '2.0'\n")
    assert warnings(caplog, *SECTIONS) == []
    (project.root / "dvc.lock").unlink()
    assert warnings(caplog, *SECTIONS) == []


def test_a_lock_with_a_conflict_of_gits_stops_nobody(project, caplog):
    lock = project.root / "dvc.lock"
    lock.write_text(f"<<<<<<< HEAD\n{lock.read_text()}=======\n>>>>>>> theirs\n")
    (said,) = warnings(caplog, *SECTIONS)
    assert said.startswith("dvc.lock: not valid YAML")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["sweep"], "data_ingestion changed"),
        (["compare", "--no-register"], "data_ingestion changed"),
        (["robustness"], "data_ingestion, training changed"),
    ],
)
def test_commands_that_use_what_is_there_say_it_before_they_begin(project, command, said):
    project.set_params(data_ingestion__seed=8, training__folds=4)
    done = project.run(sys.executable, str(ROOT / "main.py"), *command, check=False)
    assert done.returncode == 2  # there are no images
    first, *_ = [line for line in done.stderr.splitlines() if "creating MLflow's database" not in line]
    assert f"WARNING params.yaml: {said} since the stages ran" in first
