"""evaluate: labelled folders in; metrics that scikit-learn gives too, plots, answers and a page out."""

import csv
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, precision_score

from cnnClassifier.asking.evaluate import evaluate_folder
from cnnClassifier.asking.labelled import list_labelled
from cnnClassifier.asking.report import PLOTS, warnings_on
from cnnClassifier.config.loading import load_settings
from cnnClassifier.errors import ConfigError, DataError, ModelError
from cnnClassifier.files import read_json
from cnnClassifier.inference import Classifier
from imports import ROOT
from tiny_release import CLASSES, picture, released, write_tiny_package

CHEST_CT = load_settings(ROOT / "config/experiments/chest_ct.yaml").data_ingestion


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures a class; the folders as the seed's data set calls them; and a text file among the pictures."""
    folder = tmp_path_factory.mktemp("labelled") / "test"
    names = ("adenocarcinoma_left.lower.lobe", "large.cell.carcinoma_hilum", "normal", "squamous-cell-carcinoma")
    for number, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for index in range(3):
            (folder / name / f"{index}.png").write_bytes(picture(10 * number + index))
    (folder / "normal/notes.txt").write_text("no picture\n")
    return folder


@pytest.fixture(scope="module")
def evaluated(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated")
    package = write_tiny_package(folder / "chest_ct")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        evaluate_folder(data, None, package, folder / "out", resamples=100)
    return folder


def test_the_metrics_are_scikit_learns_on_the_answers(evaluated):
    rows = list(csv.DictReader((evaluated / "out/answers.csv").open()))
    read = [row for row in rows if row["state"] != "error"]
    assert (len(rows), len(read)) == (13, 12)
    called = [max(CLASSES, key=lambda name: float(row[f"probability of {name}"])) for row in read]
    found = read_json(evaluated / "out/metrics.json")
    assert found["balanced_accuracy"]["value"] == pytest.approx(
        balanced_accuracy_score([row["true_label"] for row in read], called), abs=1e-6
    )
    assert found["balanced_accuracy"]["low"] <= found["balanced_accuracy"]["value"]
    assert [row["file"].rpartition("/")[2] for row in found["unreadable"]] == ["notes.txt"]


def test_mean_precision_is_told_beside_mean_recall_as_scikit_learn_gives_it(evaluated):
    rows = list(csv.DictReader((evaluated / "out/answers.csv").open()))
    read = [row for row in rows if row["state"] != "error"]
    called = [max(CLASSES, key=lambda name: float(row[f"probability of {name}"])) for row in read]
    expected = precision_score([row["true_label"] for row in read], called, average="macro", zero_division=0)
    page = (evaluated / "out/report.html").read_text()
    recall, precision = (
        page.index(f">{label}</th>") for label in ("balanced accuracy (mean recall)", "mean precision")
    )
    assert recall < precision
    assert page[precision:].split("<td>")[1].startswith(f"{expected:.3f}</td>")


def test_answers_are_those_of_the_model(evaluated, data):
    classifier = Classifier.load(evaluated / "chest_ct", "chest_ct", "1", threads=1)
    row = next(csv.DictReader((evaluated / "out/answers.csv").open()))
    prediction = classifier.classify(Path(row["file"]).read_bytes())
    given = [float(row[f"probability of {name}"]) for name in CLASSES]
    np.testing.assert_allclose(given, [prediction.probabilities[name] for name in CLASSES], atol=1e-6)


def test_every_plot_is_written_and_stands_in_the_page(evaluated):
    page = (evaluated / "out/report.html").read_text()
    for name in PLOTS:
        assert (evaluated / f"out/plots/{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (evaluated / f"out/plots/{name}.csv").is_file()
        assert f'alt="{name.replace("_", " ")}"' in page
    assert page.count("data:image/png;base64") == len(PLOTS)
    assert "Not a medical device" in page


def test_file_names_do_not_get_into_the_page_as_html(tmp_path):
    folder = tmp_path / "data/normal"
    folder.mkdir(parents=True)
    for number in range(12):
        (folder / f"<b>{number}.png").write_bytes(picture(number))
    package = write_tiny_package(tmp_path / "tiny", largest=1.0)
    evaluate_folder(tmp_path / "data", None, package, tmp_path / "out", resamples=100)
    page = (tmp_path / "out/report.html").read_text()
    assert "&lt;b&gt;" in page
    assert "<b>1" not in page


def test_class_folders_may_be_called_as_the_experiment_says(data):
    found = list_labelled(data, CLASSES, CHEST_CT)
    assert [image.label for image in found if image.path.endswith("0.png")] == list(CLASSES)


def test_a_folder_of_no_class_is_refused_with_those_there_are(data):
    with pytest.raises(DataError, match=r"adenocarcinoma_left.*not of one class; expected folders of: adenocarcinoma"):
        list_labelled(data, CLASSES, None)


def test_copies_of_training_images_are_counted_and_said(tmp_path):
    package = released(tmp_path)
    (tmp_path / "data/normal").mkdir(parents=True)
    (tmp_path / "data/normal/known.png").write_bytes(picture(0))
    (tmp_path / "data/normal/new.png").write_bytes(picture(99))
    table = package / "out_of_fold.csv"
    rows = list(csv.reader(table.open()))
    rows[1][1] = hashlib.sha256(picture(0)).hexdigest()
    with table.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    found = evaluate_folder(tmp_path / "data", None, package, tmp_path / "out", resamples=100)
    assert found["copies_of_training_images"] == 1
    assert any(sentence.startswith("1 of 2 images were in the model's training") for sentence in warnings_on(found))


def test_of_one_patient_no_interval_is_told(tmp_path):
    (tmp_path / "data/normal").mkdir(parents=True)
    (tmp_path / "data/normal/only.png").write_bytes(picture(0))
    package = write_tiny_package(tmp_path / "chest_ct")
    found = evaluate_folder(tmp_path / "data", None, package, tmp_path / "out", resamples=100)
    assert found["accuracy"]["value"] in (0, 1)
    assert (found["accuracy"]["low"], found["accuracy"]["high"]) == (None, None)
    assert found["per_class"]["normal"]["recall"]["low"] is None
    assert any("as one patient's" in sentence for sentence in warnings_on(found))


def test_a_link_that_leads_out_is_a_row_and_the_others_go_on(evaluated, data, tmp_path):
    shutil.copytree(data, tmp_path / "data")
    for name, target in (("gone.png", "/nowhere/at/all.png"), ("out.png", data / "normal/0.png")):
        (tmp_path / "data/normal" / name).symlink_to(target)
    found = evaluate_folder(tmp_path / "data", None, evaluated / "chest_ct", tmp_path / "out", resamples=100)
    assert found["images"] == 12
    said = {row["file"].rpartition("/")[2]: row["error"] for row in found["unreadable"]}
    assert said["gone.png"] == said["out.png"] == "a link that leads out of the folder"
    rows = {row["file"].rpartition("/")[2]: row for row in csv.DictReader((tmp_path / "out/answers.csv").open())}
    assert rows["gone.png"]["state"] == rows["out.png"]["state"] == "error"


def test_without_its_training_images_at_hand_it_says_so(evaluated):
    found = json.loads((evaluated / "out/metrics.json").read_text())
    assert found["copies_of_training_images"] is None
    assert any("is not known here" in sentence for sentence in warnings_on(found))


def test_the_report_is_not_written_among_the_images_nor_over_them(data):
    for out in (data / "out", data, data.parent):
        with pytest.raises(ConfigError, match="name another place"):
            evaluate_folder(data, None, None, out, resamples=100)


def test_an_earlier_evaluation_is_replaced_and_nothing_that_was_put_beside_it(evaluated, data, tmp_path):
    package, out = evaluated / "chest_ct", tmp_path / "out"
    for _ in range(2):
        evaluate_folder(data, None, package, out, resamples=100)
    (out / "thesis.txt").write_text("precious")
    with pytest.raises(ConfigError, match=r"something else is there \(thesis.txt\).* or an earlier evaluation"):
        evaluate_folder(data, None, package, out, resamples=100)
    assert (out / "thesis.txt").read_text() == "precious"


def test_a_package_that_is_none_is_refused(data, tmp_path):
    with pytest.raises(ModelError, match="no model"):
        evaluate_folder(data, None, tmp_path, tmp_path / "out", resamples=100)
