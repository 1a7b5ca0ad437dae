"""The drawn slides: of the real data's form, the same for a seed, and called synthetic wherever they go."""

import csv
import shutil
from collections import Counter

import pytest
from PIL import Image

from cnnClassifier.config.loading import load_settings
from cnnClassifier.datasets.manifest import read_classes
from cnnClassifier.datasets.phantom.dataset import CLASSES as PHANTOM_CLASSES
from cnnClassifier.datasets.splits import hold_out
from cnnClassifier.datasets.tissue import COLUMNS, SIDE, main, write_histopathology
from imports import ROOT
from ingestion import configure, ingest


def configured(system, **source):
    """The shipped configuration of a system, with its data elsewhere."""
    config = load_settings(ROOT / f"config/experiments/{system}.yaml").data_ingestion
    return config.model_copy(update={"source": config.source.model_copy(update=source)})


@pytest.fixture(scope="module")
def mhist(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mhist") / "data"
    assert main(["mhist", str(folder), "--tiles", "40"]) == 0
    return folder


@pytest.fixture(scope="module")
def run(mhist, tmp_path_factory):
    config = configured("mhist", table=mhist / "annotations.csv", root=mhist / "images")
    return ingest(config, tmp_path_factory.mktemp("run"))


def test_the_table_has_the_columns_of_the_real_one_and_the_tiles_its_size(mhist):
    with (mhist / "annotations.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert all(Image.open(mhist / "images" / row["Image Name"]).size == (SIDE, SIDE) for row in rows)
    assert all("synthetic" in row["Image Name"] for row in rows)


def test_partition_votes_and_majority_arrive_as_the_table_says_them(mhist, run):
    with (mhist / "annotations.csv").open(newline="") as file:
        rows = {row[COLUMNS[0]]: row for row in csv.DictReader(file)}
    assert len(run.records) == len(rows) == 40
    for record in run.records:
        _, label, votes, partition = (rows[record.path][column] for column in COLUMNS)
        assert (record.label.upper(), record.split) == (label, partition)
        assert record.votes == (7 - int(votes), int(votes))


def test_what_stops_training_early_are_groups_of_train_since_there_is_no_valid(run):
    trainable = [record for record in run.records if record.split != "test"]
    fitted, held_out = hold_out(trainable, share=0.25, seed=7)
    assert {record.split for record in run.records} == {"train", "test"}
    assert not {record.group for record in fitted} & {record.group for record in held_out}
    assert {record.label for record in held_out} == {"hp", "ssa"}


def test_the_same_seed_draws_the_same_and_each_patient_has_a_class(tmp_path):
    for name in ("one", "two"):
        write_histopathology(tmp_path / name, tiles=12)
    one, two = (
        {file.relative_to(tmp_path / name): file.read_bytes() for file in (tmp_path / name).rglob("*.png")}
        for name in ("one", "two")
    )
    assert one == two
    assert Counter(path.parent.name for path in one) == {"benign": 6, "malignant": 6}


def test_ingestion_calls_them_synthetic_and_real_folders_not(run, mhist, tmp_path):
    assert read_classes(run.paths.classes).synthetic
    (mhist / "images/.synthetic").rename(mhist / "images/.elsewhere")
    config = configured("mhist", table=mhist / "annotations.csv", root=mhist / "images")
    real = ingest(config, tmp_path)
    (mhist / "images/.elsewhere").rename(mhist / "images/.synthetic")
    assert not read_classes(real.paths.classes).synthetic


def test_images_that_were_ingested_are_still_synthetic_in_another_folder_and_in_a_zip(tmp_path):
    """As docs/own_data.md copies them."""
    phantom = {"kind": "phantom", "patients_per_class": 3, "slices_per_patient": 1, "image_size": 64}
    classes = {name: [name] for name in PHANTOM_CLASSES}
    drawn = ingest(configure(phantom, classes=classes), tmp_path / "drawn")
    folder = shutil.copytree(drawn.paths.images, tmp_path / "scans")
    archive = shutil.make_archive(str(tmp_path / "scans"), "zip", tmp_path, "scans")
    sources = [{"kind": "folder", "path": folder}, {"kind": "zip", "path": archive, "root": "scans"}]
    for number, source in enumerate(sources):
        run = ingest(configure(source, classes=classes), tmp_path / str(number))
        assert read_classes(run.paths.classes).synthetic
        assert run.records == drawn.records
        assert not run.rejected


def test_they_are_never_drawn_among_other_pictures(mhist, capsys):
    with pytest.raises(SystemExit):
        main(["mhist", str(mhist)])
    assert "is there already" in capsys.readouterr().err
