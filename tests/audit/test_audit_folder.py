"""Auditing any folder: what places say, what is written, and that the folder is only read."""

import json
import os
import shutil
from pathlib import Path

import pytest

from cnnClassifier.audit.folder import audit_folder, join_class_names, list_images
from cnnClassifier.audit.pairs import read_pairs
from cnnClassifier.config.data import DataAuditConfig, DataIngestionConfig
from cnnClassifier.datasets.folders import list_folder
from cnnClassifier.errors import ConfigError, DataError
from pictures import write_picture, write_tree

CONFIG = DataAuditConfig()
KAGGLE = Path(os.environ.get("KAGGLEHUB_CACHE", "")) / "datasets"
ULTRASOUND = KAGGLE / "aryashah2k/breast-ultrasound-images-dataset/versions/1/Dataset_BUSI_with_GT"
BRAIN = KAGGLE / "murtozalikhon/brain-tumor-multimodal-image-ct-and-mri/versions/1/Dataset"
CHEST = KAGGLE / "mohamedhanyyy/chest-ctscan-images/versions/1"


def places(root: Path, *paths: str):
    """The split and class of each path."""
    for number, path in enumerate(paths):
        write_picture(root / path, seed=number)
    return {item.path: (item.split, item.label) for item in list_images(root)[0]}


def snapshot(root: Path):
    return {path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in root.rglob("*")}


@pytest.mark.parametrize(("path", "place"), [
    ("x.png", (None, "images")),
    ("polyp/x.png", (None, "polyp")),
    ("Train/polyp/x.png", ("train", "polyp")),
    ("training/polyp/x.png", ("train", "polyp")),
    ("data/val/polyp/x.png", ("valid", "polyp")),
    ("validation/polyp/patient 7/x.png", ("valid", "polyp")),
    ("polyp/patient 7/series 1/x.png", (None, "polyp")),
    ("TEST/x.png", ("test", "images")),
    ("testing/polyp/x.png", ("test", "polyp")),
    ("tests/x.png", (None, "tests")),
])  # fmt: skip
def test_split_and_class_are_read_off_the_folders(tmp_path, path, place):
    assert places(tmp_path, path) == {path: place}


@pytest.mark.parametrize("above", ["", "archive/"])
def test_splits_below_the_classes_are_splits_of_these_classes(tmp_path, above):
    paths = {
        f"{above}{label}/{folder}/x.png": (split, label)
        for label in ("polyp", "normal")
        for folder, split in (("train", "train"), ("Valid", "valid"), ("test", "test"))
    }
    assert places(tmp_path, *paths) == paths


def test_images_beside_a_split_below_their_class_are_of_that_class(tmp_path):
    paths = {"polyp/x.png": (None, "polyp"), "polyp/test/x.png": ("test", "polyp"), "normal/x.png": (None, "normal")}
    assert places(tmp_path, *paths) == paths
    assert list_images(tmp_path)[1] == []


def test_images_beside_class_folders_are_of_no_class_whatever_lies_above_their_split(tmp_path):
    assert places(tmp_path, "data/train/polyp/x.png", "data/train/x.png", "data/test/x.png") == {
        "data/train/polyp/x.png": ("train", "polyp")
    }
    assert {item.reason for item in list_images(tmp_path)[1]} == {"not in a class folder"}


def test_splits_of_several_sites_with_the_same_classes_below_them_are_one_set(tmp_path):
    paths = {f"{site}/train/{label}/x.png": ("train", label) for site in "ab" for label in ("polyp", "normal")}
    assert places(tmp_path, *paths) == paths


def test_patients_between_class_and_split_are_no_classes(tmp_path):
    paths = ["malignant/patient 7/train/1.png", "malignant/patient 8/test/2.png", "benign/patient 9/train/3.png"]
    assert places(tmp_path / "data", *paths) == {path: (path.split("/")[2], path.split("/")[0]) for path in paths}


def test_where_the_class_may_be_above_the_splits_or_below_them_it_is_asked(tmp_path):
    with pytest.raises(DataError, match=r"above the splits \('normal', 'polyp'\) or the one below \('patient 2'\)"):
        places(tmp_path, "polyp/train/patient 1/x.png", "polyp/test/patient 3/x.png", "normal/train/patient 2/x.png")


@pytest.mark.parametrize("above", ["", "train/"])
def test_the_classes_are_those_that_ingestion_finds_in_the_same_tree(tmp_path, above):
    paths = [f"{above}{label}/patient{number}/{number}.png" for label in "01" for number in range(2)]
    found = places(tmp_path / "data", *paths, f"{above}beside.png")
    splits = {"splits": {"train": "train", "test": "test"}} if above else {"random_split": {}}
    (tmp_path / "data/test").mkdir()
    config = DataIngestionConfig.model_validate(
        {"seed": 1, "source": {"kind": "folder", "path": "."}, "classes": {"0": ["0"], "1": ["1"]}, **splits}
    )
    listed, refused = list_folder(tmp_path / "data", config)
    assert {path: label for path, (_, label) in found.items()} == {item.path: item.label for item in listed}
    assert refused == list_images(tmp_path / "data")[1] != []


def test_a_link_that_leads_out_is_left_out_and_said(tmp_path):
    write_picture(tmp_path / "data/polyp/x.png", seed=1)
    (tmp_path / "data/polyp/gone.png").symlink_to("/nowhere/at/all.png")
    candidates, refused = list_images(tmp_path / "data")
    assert [item.path for item in candidates] == ["polyp/x.png"]
    assert [(item.path, item.reason) for item in refused] == [("polyp/gone.png", "a link that leads out of the folder")]


def test_class_names_that_say_more_in_one_split_are_one_class():
    names = [
        ("train", "a_T2_N0"),
        ("train", "a.b_left"),
        ("test", "a"),
        ("test", "a.b"),
        ("test", "ab"),
        ("train", "c"),
    ]
    assert join_class_names(names) == {"a_T2_N0": "a", "a.b_left": "a.b", "a": "a", "a.b": "a.b", "ab": "ab", "c": "c"}


def test_class_names_that_one_split_tells_apart_stay_apart():
    names = [("train", "polyp"), ("train", "polyp_mask"), ("test", "polyp")]
    assert join_class_names(names) == {"polyp": "polyp", "polyp_mask": "polyp_mask"}


def test_a_folder_with_splits_is_audited_and_nothing_in_it_is_touched(tmp_path):
    root = write_tree(tmp_path / "data", each=3)
    shutil.copy(root / "test/normal/p008_0.png", root / "train/normal/leak.png")
    shutil.copy(root / "train/benign/p000_0.png", root / "train/malignant/conflict.png")
    (root / "train/benign/notes.txt").write_text("no picture")
    (root / "train/benign/.hidden.png").write_bytes(b"")
    before = snapshot(root)
    audit, _ = audit_folder(root, tmp_path / "out", CONFIG)
    assert snapshot(root) == before
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["audit.html", "audit.json", "pairs.csv"]
    assert audit == json.loads((tmp_path / "out/audit.json").read_text())
    assert audit["verdict"].startswith("The published test split shares 1 of 9 images with training (1 pixel for pixel")
    assert audit["files"]["unreadable"][0]["path"] == "train/benign/notes.txt"
    assert audit["files"]["label_conflicts"] == [["train/benign/p000_0.png", "train/malignant/conflict.png"]]
    assert audit["policy"]["broken"][0] == "1 training image is also in test"
    assert {pair.first for pair in read_pairs(tmp_path / "out/pairs.csv")} == {
        "test/normal/p008_0.png",
        "train/benign/p000_0.png",
    }
    page = (tmp_path / "out/audit.html").read_text()
    assert "1 to leave out from training" in page
    assert "fit for training" in page


@pytest.mark.parametrize("paths", [["0.png", "1.png", "2.png"], ["a/0.png", "a/1.png"], ["0.png"]])
def test_flat_folders_single_classes_and_single_images_have_a_report(tmp_path, paths):
    places(tmp_path / "data", *paths)
    audit, _ = audit_folder(tmp_path / "data", tmp_path / "out", CONFIG)
    assert audit["verdict"] == f"No copies among {len(paths)} images, and no test split to compare with training."
    assert audit["shortcuts"] == {}
    assert "<h1>No copies among" in (tmp_path / "out/audit.html").read_text()


def test_a_handful_of_images_of_each_class_has_a_table_of_shortcuts_without_limits(tmp_path):
    """Of four classes of two images each, too few draws hold all four."""
    places(tmp_path / "data", *(f"{label}/{number}.png" for label in "abcd" for number in range(2)))
    audit, _ = audit_folder(tmp_path / "data", tmp_path / "out", CONFIG)
    assert all(found["balanced_accuracy"]["low"] is None for found in audit["shortcuts"].values())
    assert "known to the forest" in (tmp_path / "out/audit.html").read_text()


def test_masks_stand_in_the_verdict_of_a_folder_without_splits(audited, tmp_path):
    masks = sorted(audited.phantom.with_fault("mask_among_images"))
    for number, path in enumerate([*masks, *(record.path for record in audited.phantom.records[:6])]):
        (tmp_path / "data").mkdir(exist_ok=True)
        shutil.copy(audited.phantom.images / path, tmp_path / f"data/{number}.png")
    audit, _ = audit_folder(tmp_path / "data", tmp_path / "out", CONFIG)
    assert "4 are masks or blank pictures; there is no test split yet" in audit["verdict"]


@pytest.mark.parametrize(("files", "words"), [
    ([], "no image that can be read; files: 0"),
    (["notes.txt", "more/table.csv"], r"no image that can be read; files: 2, the first: more/table\.csv: not an image"),
])  # fmt: skip
def test_a_folder_without_images_is_one_clear_error(tmp_path, files, words):
    (tmp_path / "data/more").mkdir(parents=True)
    for name in files:
        (tmp_path / "data" / name).write_text("words")
    with pytest.raises(DataError, match=words):
        audit_folder(tmp_path / "data", tmp_path / "out", CONFIG)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match="gone: no such folder"):
        audit_folder(tmp_path / "gone", tmp_path / "out", CONFIG)


def test_the_report_does_not_go_into_the_audited_folder(tmp_path):
    write_picture(tmp_path / "data/x.png", seed=1)
    with pytest.raises(ConfigError, match="which is only read"):
        audit_folder(tmp_path / "data", tmp_path / "data/audit", CONFIG)


@pytest.mark.parametrize("name", ["scratch/thesis.txt", "audit.json"])
def test_what_another_put_where_the_report_goes_stays(tmp_path, name):
    places(tmp_path / "data", "x.png")
    audit_folder(tmp_path / "data", tmp_path / "out", CONFIG)
    audit_folder(tmp_path / "data", tmp_path / "out", CONFIG)  # an earlier audit is replaced
    mine = tmp_path / "mine" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("precious")
    with pytest.raises(ConfigError, match="something else is there"):
        audit_folder(tmp_path / "data", tmp_path / "mine", CONFIG)
    assert mine.read_text() == "precious"


@pytest.mark.real_data
def test_the_masks_of_the_real_ultrasound_sample_are_flagged_and_no_scan(tmp_path):
    audit, _ = audit_folder(ULTRASOUND, tmp_path / "out", CONFIG)
    assert audit["suspects"] == {"masks": 7, "blank": 0, "in_test": 0}
    assert all("_mask" in item["path"] for item in audit["files"]["suspects"])
    assert set(audit["classes"]["train"]) == {"benign", "malignant", "normal"}
    assert "7 are masks" in audit["verdict"]


@pytest.mark.real_data
def test_the_copies_of_the_real_brain_sample_are_found(tmp_path):
    audit, _ = audit_folder(BRAIN, tmp_path / "out", CONFIG)
    assert audit["exact_copies"]["sets"] == audit["exact_copies"]["redundant_by_bytes"] == 9
    assert len(audit["files"]["near_copies"]) >= 1
    assert set(audit["classes"]["train"]) == {"Brain Tumor CT scan Images", "Brain Tumor MRI images"}
    assert audit["suspects"]["masks"] == 0


@pytest.mark.real_data
def test_the_faults_of_the_real_chest_ct_are_found(tmp_path):
    audit, found = audit_folder(CHEST, tmp_path / "out", DataAuditConfig(near_copy=0.93, same_patient=0.6))
    assert audit["across_test"]["exact"] == 46
    assert 115 <= audit["across_test"]["images"] <= 130
    assert set(audit["classes"]["test"]) == {
        "adenocarcinoma",
        "large.cell.carcinoma",
        "normal",
        "squamous.cell.carcinoma",
    }
    training = {record.sha256 for record in found.records if record.split == "train"}
    leaked = [record for record in found.records if record.split != "train" and record.sha256 in training]
    assert {record.label for record in leaked} == {"normal"}
    assert [sum(record.split == split for record in leaked) for split in ("test", "valid")] == [46, 10]
    near = {tuple(Path(path).name for path in pair) for pair in audit["files"]["near_copies"]}
    assert ("000118 (5).png", "000118 (4).png") in near
    assert ["l4.png", "sq2.png"] in [[Path(path).name for path in paths] for paths in audit["files"]["label_conflicts"]]
    assert audit["unreadable"] == audit["suspects"]["masks"] == 0
