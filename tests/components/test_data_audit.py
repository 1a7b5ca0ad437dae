"""data_audit: manifest in, audited manifest and audit.json out."""

import json
import shutil

import pytest

from cnnClassifier.components.data_audit import DataAudit
from cnnClassifier.config.data import DataAuditConfig
from cnnClassifier.datasets.manifest import read_manifest
from cnnClassifier.errors import DataError
from ingestion import configure, ingest
from pictures import write_tree


@pytest.fixture
def paths(tmp_path):
    root = write_tree(tmp_path / "data", each=3)
    shutil.copy(root / "test/normal/p008_0.png", root / "train/normal/leak.png")
    shutil.copy(root / "train/benign/p000_0.png", root / "train/malignant/conflict.png")
    return ingest(configure(root), tmp_path).paths


def test_training_never_sees_a_copy_of_a_test_image_or_a_disputed_one(paths):
    DataAudit(DataAuditConfig(), paths).run()
    before, kept = read_manifest(paths.manifest), read_manifest(paths.audited_manifest)
    dropped = {record.path for record in before} - {record.path for record in kept}
    assert dropped == {"train/normal/leak.png", "train/benign/p000_0.png", "train/malignant/conflict.png"}


def test_the_audit_says_what_was_found(paths):
    DataAudit(DataAuditConfig(copies="keep", conflicts="keep"), paths).run()
    audit = json.loads(paths.audit.read_text())
    assert audit["exact_copies"] == {"sets": 2, "redundant_images": 2, "test_images_also_in_training": 1}
    assert audit["label_conflicts"] == {"sets": 1}
    assert audit["images"] == audit["kept"] == {"train": 11, "valid": 9, "test": 9}
    assert audit["files"]["label_conflicts"] == [["train/benign/p000_0.png", "train/malignant/conflict.png"]]


def test_fail_stops_before_anything_is_written(paths):
    with pytest.raises(DataError, match=r"`data_audit\.conflicts` is `fail`"):
        DataAudit(DataAuditConfig(conflicts="fail"), paths).run()
    assert not paths.audited_manifest.exists()


def test_without_a_manifest_it_says_what_to_run(tmp_path, paths):
    paths.manifest.unlink()
    with pytest.raises(DataError, match=r"run `python main\.py data_ingestion` first"):
        DataAudit(DataAuditConfig(), paths).run()
