"""data_audit: manifest in, audited manifest and audit.json out."""

import json
import shutil

import pytest

from cnnClassifier.audit.pairs import read_pairs
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
    assert audit["exact_copies"]["sets"] == audit["exact_copies"]["redundant_images"] == 2
    assert audit["across_test"] == {"images": 1, "exact": 1, "near": 0}
    assert audit["label_conflicts"] == {"sets": 1}
    assert audit["policy"]["broken"] == ["1 training image is also in test; data_audit.copies keeps it"]
    assert audit["images"] == audit["kept"] == {"train": 11, "valid": 9, "test": 9}
    assert audit["files"]["label_conflicts"] == [["train/benign/p000_0.png", "train/malignant/conflict.png"]]


def test_fail_stops_training_but_the_findings_are_written(paths):
    with pytest.raises(DataError, match=r"`data_audit\.conflicts` is `fail`.*found: 1, the first: train/benign/p000_0"):
        DataAudit(DataAuditConfig(conflicts="fail"), paths).run()
    assert not paths.audited_manifest.exists()
    audit = json.loads(paths.audit.read_text())
    assert not audit["policy"]["satisfied"]
    assert audit["verdict"] in paths.audit_report.read_text()
    assert [pair.second for pair in read_pairs(paths.pairs)] == [
        "train/normal/leak.png",
        "train/malignant/conflict.png",
    ]


def test_copies_get_one_group_and_other_pictures_their_own(paths):
    DataAudit(DataAuditConfig(copies="keep", conflicts="keep"), paths).run()
    group = {record.path: record.group for record in read_manifest(paths.audited_manifest)}
    assert group["test/normal/p008_0.png"] == group["train/normal/leak.png"]
    assert len(set(group.values())) == len(group) - 2


def test_without_a_manifest_it_says_what_to_run(tmp_path, paths):
    paths.manifest.unlink()
    with pytest.raises(DataError, match=r"run `python main\.py data_ingestion` first"):
        DataAudit(DataAuditConfig(), paths).run()
