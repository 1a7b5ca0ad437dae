"""predict: any files, folders and archives; every one gets a row, and the exit code says whether all were read."""

import csv
import io
import json
import os
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from cnnClassifier.asking.answers import Answer, ask
from cnnClassifier.asking.files import list_files
from cnnClassifier.asking.formats import as_csv, table_text
from cnnClassifier.asking.models import choose_model
from cnnClassifier.config.loading import load_project
from cnnClassifier.errors import ConfigError, DataError
from cnnClassifier.inference import Classifier, Prediction
from environment import clean_environment
from hostile import dicom_files as dicom
from imports import ROOT
from project import Project, copy_project
from tiny_release import CLASSES, picture, write_tiny_package

MOST_PIXELS = 10_000_000


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return copy_project(tmp_path_factory.mktemp("predict") / "project", clean_environment())


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_package(tmp_path_factory.mktemp("package") / "tiny")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a good picture, a DICOM file two folders down, an archive, and text."""
    folder = tmp_path / "files"
    (folder / "deep/deeper").mkdir(parents=True)
    (folder / "a.png").write_bytes(picture(1))
    (folder / "deep/deeper/scan.dcm").write_bytes(dicom.write(dicom.ct(), dicom.EXPLICIT))
    with zipfile.ZipFile(folder / "more.zip", "w") as archive:
        archive.writestr("in.png", picture(2))
    (folder / "notes.txt").write_text("no picture\n")
    return folder


@pytest.fixture
def classifier(package: Path) -> Classifier:
    return Classifier.load(package, "tiny", "1", threads=1)


def test_an_empty_name_is_not_the_default_model(package):
    config = load_project(ROOT / "config/config.yaml")
    for name in ("", " "):
        with pytest.raises(ConfigError, match="--model: an empty name, as of a variable that is not set"):
            choose_model(config, name, None)
        with pytest.raises(ConfigError, match="--model: an empty name"):
            choose_model(config, name, package)


def test_a_bad_file_is_a_row_and_the_others_go_on(project, package, files):
    done = project.main("predict", str(files), "--package", str(package), "--format", "json", check=False)
    assert done.returncode == 1
    said = json.loads(done.stdout)
    assert (said["model"], said["answered"], said["failed"]) == ("tiny", 3, 1)
    rows = {row["file"].removeprefix(f"{files}/"): row for row in said["results"]}
    assert list(rows) == ["a.png", "deep/deeper/scan.dcm", "more.zip/in.png", "notes.txt"]
    assert rows["notes.txt"]["error"].startswith("not an image in a format this reads")
    assert "probabilities" not in rows["notes.txt"]
    assert sum(rows["a.png"]["probabilities"].values()) == pytest.approx(1)


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_a_name_that_is_not_utf8_is_a_row_of_every_form(project, package, files, tmp_path, form):
    Path(os.fsdecode(os.fsencode(files) + b"/sch\xe4del.png")).write_bytes(picture(1))
    out = tmp_path / f"answers.{form}"
    asked = ["predict", str(files), "--package", str(package), "--format", form, "--out", str(out)]
    done = project.main(*asked, check=False)
    assert done.returncode == 1, done.stderr
    assert "answered for 3 files, 2 failed" in done.stderr
    assert "del.png" in out.read_text(encoding="utf-8")
    assert "its name is not UTF-8; rename it" in out.read_text(encoding="utf-8")


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_a_name_that_the_terminals_encoding_lacks_is_escaped(project, package, tmp_path, form):
    (tmp_path / "肺.png").write_bytes(picture(1))
    asked = ["predict", str(tmp_path / "肺.png"), "--package", str(package), "--format", form]
    done = replace(project, environment={**project.environment, "PYTHONIOENCODING": "latin1"}).main(*asked)
    assert r"\u80ba.png" in done.stdout.replace("\n", "")


@pytest.mark.parametrize(("out", "said"), [("", "name a file in it"), ("a.png", "would be lost")])
def test_where_answers_cannot_go_is_said_before_any_is_asked_for(project, package, files, out, said):
    before = (files / "a.png").read_bytes()
    done = project.main("predict", str(files), "--package", str(package), "--out", str(files / out), check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert (files / "a.png").read_bytes() == before


def test_all_read_is_success_and_a_name_decides_the_form(project, package, files, tmp_path):
    (files / "notes.txt").unlink()
    out, link = tmp_path / "answers", tmp_path / "LINK.CSV"
    link.symlink_to(out)
    done = project.main("predict", str(files), "--package", str(package), "--out", str(link))
    assert f"written to {link}" in done.stderr
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    assert len(rows) == 3
    assert all(row["label"] in CLASSES for row in rows)


def test_without_a_name_it_is_the_model_that_the_app_would_serve(project, tmp_path):
    file = tmp_path / "noise.png"
    file.write_bytes(picture(3))
    done = project.main("predict", str(file))
    assert "chest_ct version 1" in done.stdout
    assert "refused" in done.stdout  # noise is no chest CT


def test_a_model_that_nobody_registered_is_one_line(project, files):
    done = project.main("predict", str(files), "--model", "nobody", check=False)
    assert done.returncode == 2
    assert "nobody@champion" in done.stderr.splitlines()[-1]


def test_a_registrys_database_that_is_down_is_one_line_in_seconds(project, files):
    # The discard port: nothing listens there. By itself mlflow tries for nearly two minutes.
    down = {**project.environment, "MLFLOW_TRACKING_URI": "postgresql://me:secret@127.0.0.1:9/registry"}
    began = time.monotonic()
    done = replace(project, environment=down).main("predict", str(files), check=False)
    assert time.monotonic() - began < 60
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "***@127.0.0.1:9/registry: cannot reach the MLflow server" in done.stderr
    assert "secret" not in done.stderr


def test_a_file_that_is_not_there_stops_before_any_model_is_asked(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        list_files([tmp_path / "none.png"])
    with pytest.raises(DataError, match="no files in there"):
        list_files([tmp_path])


def test_a_folder_of_links_into_a_data_store_is_answered_and_a_broken_one_is_a_row(classifier, files, tmp_path):
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/scan.png").symlink_to(files / "a.png")
    (tmp_path / "linked/gone.png").symlink_to(files / "gone.png")
    (tmp_path / "store").mkdir()
    (tmp_path / "store/b.png").write_bytes(picture(2))
    (tmp_path / "linked/folder").symlink_to(tmp_path / "store")
    within, gone, scan = ask(classifier, list_files([tmp_path / "linked"]), MOST_PIXELS)
    assert scan.prediction == classifier.classify(picture(1))
    assert (within.file, within.error) == (str(tmp_path / "linked/folder/b.png"), None)
    assert gone.error == "not a regular file"


def test_answers_are_those_of_the_classifier(classifier, files):
    (answer,) = ask(classifier, [files / "a.png"], MOST_PIXELS)
    assert answer.prediction == classifier.classify(picture(1))


def test_a_picture_of_too_many_pixels_is_an_error_of_its_own(classifier, files):
    (answer,) = ask(classifier, [files / "a.png"], 100)
    assert answer.prediction is None
    assert "pixels" in answer.error


def test_no_file_name_becomes_a_formula_in_a_spreadsheet(classifier, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("=1+1.png").write_bytes(picture(1))
    text = as_csv(list(ask(classifier, [Path("=1+1.png")], MOST_PIXELS)), classifier)
    assert text.splitlines()[1].startswith("'=1+1.png")


def test_the_classes_of_a_set_are_told_apart_where_their_names_have_spaces(classifier):
    shares = dict.fromkeys(classifier.spec.classes, 0.5)
    found = Prediction("abstained", None, 0.5, shares, ("3 Benign (Klasse A)", "malignant"), (), "tiny", "1")
    (row,) = csv.DictReader(io.StringIO(as_csv([Answer("a.png", prediction=found)], classifier)))
    assert row["prediction_set"] == "3 Benign (Klasse A); malignant"


def test_the_table_says_what_is_wrong(classifier, files):
    text = table_text(list(ask(classifier, list_files([files]), MOST_PIXELS)), classifier)
    assert "tiny version 1" in text
    assert "not an image in a format this reads" in text
