"""The sister systems' patterns on folders laid out as Kaggle's are (tests/real has the real samples)."""

from collections import Counter

import pytest

from cnnClassifier.config.data import DataIngestionConfig
from cnnClassifier.config.loading import load_settings
from cnnClassifier.datasets.folders import list_folder
from imports import ROOT
from pictures import write_picture

BRAIN = {
    "Brain Tumor CT scan Images/Healthy/ct_healthy (1).jpg": "ct_healthy",
    "Brain Tumor CT scan Images/Healthy/ct_healthy (1).png": "ct_healthy",
    "Brain Tumor CT scan Images/Tumor/ct_tumor (1).png": "ct_tumor",
    "Brain Tumor MRI images/Healthy/mri_healthy (1).jpg": "mri_healthy",
    "Brain Tumor MRI images/Tumor/glioma (1).jpg": "mri_glioma",
    "Brain Tumor MRI images/Tumor/meningioma (1).jpg": "mri_meningioma",
    "Brain Tumor MRI images/Tumor/pituitary (1).jpg": "mri_pituitary",
    "Brain Tumor MRI images/Tumor/tumor (1).jpg": "mri_tumor",
}
BREAST = {
    "benign/benign (1).png": "benign",
    "malignant/malignant (1).png": "malignant",
    "normal/normal (1).png": "normal",
}
MASKS = ["benign/benign (1)_mask.png", "benign/benign (1)_mask_1.png", "normal/normal (1)_mask.png"]


def config_of(system) -> DataIngestionConfig:
    return load_settings(ROOT / f"config/experiments/{system}.yaml").data_ingestion


@pytest.mark.parametrize(("system", "labels", "left_out"), [
    ("brain_ct_mri", BRAIN, []), ("breast_ultrasound", BREAST, MASKS),
])  # fmt: skip
def test_each_file_gets_the_class_that_its_place_says_and_masks_none(system, labels, left_out, tmp_path):
    for seed, path in enumerate([*labels, *left_out]):
        write_picture(tmp_path / path, seed, "PNG" if path.endswith("png") else "JPEG")
    found, rejected = list_folder(tmp_path, config_of(system))
    assert {item.path: item.label for item in found} == labels
    assert not rejected
    assert set(labels.values()) == set(config_of(system).classes)


def test_without_its_exclusion_the_masks_would_be_scans(tmp_path):
    for seed, path in enumerate([*BREAST, *MASKS]):
        write_picture(tmp_path / path, seed)
    found, _ = list_folder(tmp_path, config_of("breast_ultrasound").model_copy(update={"exclude": ()}))
    assert Counter(item.label for item in found) == {"benign": 3, "malignant": 1, "normal": 2}
