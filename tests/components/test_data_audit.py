"""data_audit: manifest in, audited manifest and audit.json out."""

import json
import shutil
from collections import Counter, defaultdict

import pytest

from cnnClassifier.audit.pairs import read_pairs
from cnnClassifier.components.data_audit import DataAudit
from cnnClassifier.config.data import DataAuditConfig
from cnnClassifier.datasets.manifest import read_manifest
from cnnClassifier.errors import DataError
from ingestion import configure, ingest
from pictures import CLASSES, write_picture, write_tree


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


def test_what_an_earlier_audit_let_through_is_gone_when_a_later_one_refuses(paths):
    DataAudit(DataAuditConfig(), paths).run()
    with pytest.raises(DataError, match="is `fail`"):
        DataAudit(DataAuditConfig(conflicts="fail"), paths).run()
    with pytest.raises(DataError, match=r"no manifest; run .* first, then `data_audit`"):
        read_manifest(paths.audited_manifest)


def test_copies_get_one_group_and_other_pictures_their_own(paths):
    DataAudit(DataAuditConfig(copies="keep", conflicts="keep"), paths).run()
    group = {record.path: record.group for record in read_manifest(paths.audited_manifest)}
    assert group["test/normal/p008_0.png"] == group["train/normal/leak.png"]
    assert len(set(group.values())) == len(group) - 2


SHARES = {"valid": 0.2, "test": 0.2}


def homes(path):
    """The splits of each group."""
    found = defaultdict(set)
    for record in read_manifest(path):
        found[record.group].add(record.split)
    return found


def test_drawn_splits_are_dealt_again_once_it_is_known_who_belongs_together(tmp_path):
    root = tmp_path / "data"
    for number in range(90):
        write_picture(root / CLASSES[number % 3] / f"p{number % 45}_{number}.png", seed=number)
    config = configure(root, random_split=SHARES, group_pattern=r"(p\d+)_")
    draft = ingest(config, tmp_path).by_path
    # A picture of a patient of test comes once more as one of a patient of train, whom the draft keeps elsewhere.
    tested, trained = (next(item for item in draft.values() if item.split == split) for split in ("test", "train"))
    patient = trained.path.partition("/")[2].partition("_")[0]
    shutil.copy(root / tested.path, root / tested.label / f"{patient}_copy.png")
    paths = ingest(config, tmp_path).paths
    DataAudit(DataAuditConfig(copies="keep", conflicts="keep"), paths).run()
    assert all(len(splits) == 1 for splits in homes(paths.audited_manifest).values())
    dealt = {record.path: record for record in read_manifest(paths.audited_manifest)}
    assert dealt[tested.path].group == dealt[trained.path].group
    counts = Counter((record.label, record.split) for record in dealt.values())
    for label in CLASSES:
        assert [counts[label, split] / 30 for split in ("valid", "test")] == pytest.approx([0.2, 0.2], abs=0.1)
    audit = json.loads(paths.audit.read_text())
    assert audit["across_test"]["images"] == 0
    assert audit["groups"]["test_images_of_training_groups"] == 0


def test_splits_of_the_source_are_left_as_they_are(paths):
    DataAudit(DataAuditConfig(copies="keep", conflicts="keep"), paths).run()
    manifests = (paths.manifest, paths.audited_manifest)
    before, after = ({item.path: item.split for item in read_manifest(manifest)} for manifest in manifests)
    assert after == before
    assert before["test/normal/p008_0.png"] == "test"
    assert before["train/normal/leak.png"] == "train"


def test_a_class_of_too_few_groups_to_draw_from_is_named(tmp_path):
    root = write_tree(tmp_path / "data", splits=[""], each=12)
    config = configure(root, random_split=SHARES, group_pattern=r"(p\d+_\d+)\.")
    # Each picture once more as the next patient's: all patients of the class are one group.
    for number in range(11):
        shutil.copy(root / f"normal/p002_{number}.png", root / f"normal/x_p002_{number + 1}.png")
    paths = ingest(config, tmp_path).paths
    with pytest.raises(DataError, match="no group of class 'normal' fell into test"):
        DataAudit(DataAuditConfig(copies="keep"), paths).run()
    assert paths.audit_report.is_file()


def test_without_a_manifest_it_says_what_to_run(tmp_path, paths):
    paths.manifest.unlink()
    with pytest.raises(DataError, match=r"run `python main\.py data_ingestion` first"):
        DataAudit(DataAuditConfig(), paths).run()
