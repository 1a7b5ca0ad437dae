"""The sister systems' own configurations on the samples of their data that are at hand (needs KAGGLEHUB_CACHE)."""

import re
import shutil
from collections import Counter, defaultdict

import pytest

from cnnClassifier.components.data_audit import DataAudit
from cnnClassifier.config.loading import load_settings
from cnnClassifier.datasets.manifest import read_manifest
from cnnClassifier.datasets.sources import download_kaggle
from cnnClassifier.files import read_json
from imports import ROOT
from ingestion import ingest

pytestmark = pytest.mark.real_data

CLASS_IN_NAME = re.compile(r"(ct_healthy|ct_tumor|mri_healthy|glioma|meningioma|pituitary|tumor) \(")


def settings(system):
    return load_settings(ROOT / f"config/experiments/{system}.yaml")


def splits_of_groups(records):
    homes = defaultdict(set)
    for record in records:
        homes[record.group].add(record.split)
    return homes


@pytest.fixture(scope="module")
def breast(tmp_path_factory):
    found = ingest(settings("breast_ultrasound").data_ingestion, tmp_path_factory.mktemp("breast"))
    DataAudit(settings("breast_ultrasound").data_audit, found.paths).run()
    return found


@pytest.fixture(scope="module")
def brain(tmp_path_factory):
    found = ingest(settings("brain_ct_mri").data_ingestion, tmp_path_factory.mktemp("brain"))
    DataAudit(settings("brain_ct_mri").data_audit, found.paths).run()
    return found


def test_of_the_breast_sample_only_the_scans_are_taken(breast):
    assert Counter(record.label for record in breast.records) == {"benign": 14, "malignant": 12, "normal": 10}
    assert read_json(breast.paths.audit)["suspects"] == {"masks": 0, "blank": 0, "in_test": 0}


def test_without_the_exclusion_the_audit_flags_its_masks_and_keeps_them_out_of_training(tmp_path):
    config = settings("breast_ultrasound")
    found = ingest(config.data_ingestion.model_copy(update={"exclude": ()}), tmp_path)
    DataAudit(config.data_audit, found.paths).run()
    masks = {record.path for record in found.records if "_mask" in record.path}
    assert {item["path"] for item in read_json(found.paths.audit)["files"]["suspects"]} == masks
    assert len(masks) == 7
    trained = {record.path for record in read_manifest(found.paths.audited_manifest) if record.split != "test"}
    assert not masks & trained


def test_its_splits_are_80_10_10_by_class_with_groups_whole(breast):
    records = read_manifest(breast.paths.audited_manifest)
    assert all(len(splits) == 1 for splits in splits_of_groups(records).values())
    for label in ("benign", "malignant", "normal"):
        of_class = [record for record in records if record.label == label]
        counts = Counter(record.split for record in of_class)
        assert all(abs(counts[split] - 0.1 * len(of_class)) <= 1 for split in ("valid", "test"))
        assert counts["test"]


def test_the_class_of_a_brain_slice_is_what_its_folder_and_name_say(brain):
    classes = settings("brain_ct_mri").data_ingestion.classes
    assert Counter(record.label for record in brain.records) == dict.fromkeys(classes, 20)
    for record in brain.records:
        said = CLASS_IN_NAME.search(record.path).group(1)
        assert record.label == (said if said.startswith(("ct_", "mri_")) else f"mri_{said}")


def test_copies_in_the_brain_sample_lie_in_one_split(brain):
    audit = read_json(brain.paths.audit)
    assert audit["exact_copies"]["sets"] == 9
    assert audit["across_test"]["images"] == audit["groups"]["test_images_of_training_groups"] == 0


def test_brain_slices_of_one_name_as_jpg_and_png_stay_two_images(tmp_path):
    config = settings("brain_ct_mri").data_ingestion
    shutil.copytree(download_kaggle(config.source), tmp_path / "Dataset")
    folder = tmp_path / "Dataset/Brain Tumor CT scan Images/Tumor"
    png, jpg = folder / "ct_tumor (103).png", folder / "ct_tumor (1228).jpg"
    jpg.rename(folder / "ct_tumor (103).jpg")
    source = {"kind": "folder", "path": tmp_path / "Dataset"}
    given = {**config.model_dump(), "source": source}
    found = ingest(type(config).model_validate(given), tmp_path / "run").by_path
    same = [record for path, record in found.items() if "/ct_tumor (103)." in path]
    assert png.is_file()
    assert len({record.id for record in same}) == len({record.pixel_hash for record in same}) == 2
    assert len(found) == 140
