"""The whole audit: strange sets of images do not break it, and it leaves nothing behind."""

import shutil
from dataclasses import replace

import pytest

from cnnClassifier.audit.examine import examine
from cnnClassifier.audit.folder import list_images
from cnnClassifier.audit.shortcuts import find_shortcuts
from cnnClassifier.audit.summary import summarise
from cnnClassifier.config.data import DataAuditConfig
from cnnClassifier.datasets.ingest import describe_readable
from cnnClassifier.datasets.manifest import Drawn
from cnnClassifier.errors import DataError
from pictures import noise, write_picture

CONFIG = DataAuditConfig()


def look(folder, scratch, config=CONFIG):
    return examine(describe_readable(list_images(folder)[0])[0], folder, scratch, config)[0]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_images_are_no_problem(tmp_path, count):
    (tmp_path / "data").mkdir()
    for number in range(count):
        write_picture(tmp_path / f"data/a/{number}.png", seed=number)
    found = look(tmp_path / "data", tmp_path / "scratch")
    assert len(found.records) == len({record.group for record in found.records}) == count
    assert not found.pairs
    assert summarise(found)["groups"]["count"] == count


def test_a_hundred_equal_images_are_one_group_and_no_near_copies(tmp_path):
    for number in range(100):
        noise(1, 64).save(write_picture(tmp_path / f"data/{'ab'[number % 2]}/{number}.png", seed=0))
    found = look(tmp_path / "data", tmp_path / "scratch")
    assert {pair.kind for pair in found.pairs} == {"exact"}
    assert len(found.pairs) == 99
    assert len({record.group for record in found.records}) == 1


def test_equal_looking_blank_images_are_suspects_and_no_copies_of_each_other(tmp_path):
    for number, level in enumerate((0, 100, 255)):
        noise(0, 64).point(lambda _, level=level: level).save(write_picture(tmp_path / f"data/a/{number}.png", seed=0))
    found = look(tmp_path / "data", tmp_path / "scratch")
    assert [suspect.kind for suspect in found.suspects] == ["blank"] * 3
    assert not found.pairs


def test_a_file_that_can_no_longer_be_read_is_named(tmp_path):
    for number in range(3):
        write_picture(tmp_path / f"data/a/{number}.png", seed=number)
    records = describe_readable(list_images(tmp_path / "data")[0])[0]
    (tmp_path / "data/a/1.png").write_bytes(b"gone bad")
    with pytest.raises(DataError, match=r"a/1\.png: could be read before, but no longer"):
        examine(records, tmp_path / "data", tmp_path / "scratch", CONFIG)


def test_a_file_that_is_another_than_the_one_described_is_named(tmp_path):
    for number in range(3):
        write_picture(tmp_path / f"data/a/{number}.png", seed=number)
    records = describe_readable(list_images(tmp_path / "data")[0])[0]
    write_picture(tmp_path / "data/a/1.png", seed=4)
    with pytest.raises(DataError, match=r"a/1\.png: is no longer the file that was described before; run"):
        examine(records, tmp_path / "data", tmp_path / "scratch", CONFIG)


def test_the_order_of_listing_changes_nothing_and_no_scratch_is_left(clean, tmp_path):
    records = clean.records[:24]
    one, _ = examine(records, clean.images, tmp_path / "scratch", CONFIG)
    other, _ = examine(records[::-1], clean.images, tmp_path / "scratch", CONFIG)
    assert sorted(one.pairs) == sorted(other.pairs)
    assert {item.path: item.group for item in one.records} == {item.path: item.group for item in other.records}
    assert [item.path for item in one.records] == [item.path for item in records]
    assert not (tmp_path / "scratch").exists()


def test_masks_do_not_pass_for_a_shortcut_or_a_difference_between_splits(faulty, tmp_path):
    """Shortcuts and splits are measured as if the masks were not there."""
    masks = faulty.with_fault("mask_among_images")
    found, facts = examine(faulty.records, faulty.images, tmp_path / "scratch", CONFIG)
    scans = [record for record in found.records if record.path not in masks]
    labels, groups = [record.label for record in scans], [record.group for record in scans]
    assert found.shortcuts == find_shortcuts(facts.of(scans), labels, groups, CONFIG.seed)
    assert {record.path for record in found.records} - {record.path for record in scans} == masks
    assert found.shortcuts[0].images == len(scans)


def test_masks_that_are_kept_count_as_scans_and_their_copies_across_the_test_border_are_found(faulty, tmp_path):
    path = sorted(faulty.with_fault("mask_among_images"))[0]
    for split in ("train", "test"):
        (tmp_path / f"data/{split}/a").mkdir(parents=True)
        shutil.copy(faulty.images / path, tmp_path / f"data/{split}/a/mask.png")
    kept = look(tmp_path / "data", tmp_path / "scratch", DataAuditConfig(masks="keep"))
    assert [suspect.kind for suspect in kept.suspects] == ["mask"] * 2
    assert summarise(kept)["across_test"] == {"images": 1, "exact": 1, "near": 0}
    assert [record.split for record in kept.kept.records] == ["test"]
    assert not look(tmp_path / "data", tmp_path / "scratch").pairs


@pytest.mark.parametrize("named", [True, False])
def test_a_test_split_that_is_drawn_has_no_masks_and_is_drawn_among_the_scans(faulty, tmp_path, named):
    """Patients of the masks are known, or each mask is a group of its own."""
    masks = faulty.with_fault("mask_among_images")
    groups = {} if named else {path: faulty.truth[path]["patient"] + path for path in masks}
    records = [replace(record, group=groups.get(record.path, record.group)) for record in faulty.records]
    found, _ = examine(records, faulty.images, tmp_path / "scratch", CONFIG, drawn=Drawn(valid=0.2, test=0.4, seed=1))
    scans = [record for record in found.records if record.path not in masks]
    alone, _ = examine(scans, faulty.images, tmp_path / "scratch", CONFIG, drawn=Drawn(valid=0.2, test=0.4, seed=1))
    assert not masks & {record.path for record in found.kept.records}
    assert scans == alone.records
    audit = summarise(found)
    assert audit["groups"]["test_images_of_training_groups"] == 0
    assert audit["policy"]["satisfied"]
    assert (audit["suspects"]["in_test"] > 0) == named


def test_black_pictures_that_are_kept_make_no_patients_one(tmp_path):
    for label in "ab":
        (tmp_path / f"data/{label}").mkdir(parents=True)
        for number in range(3):
            write_picture(tmp_path / f"data/{label}/{number}.png", seed=10 * ord(label) + number)
            noise(0, 64).point(lambda _: 0).save(tmp_path / f"data/{label}/black{number}.png")
    kept = look(tmp_path / "data", tmp_path / "scratch", DataAuditConfig(masks="keep"))
    assert not kept.pairs
    assert len(kept.kept.records) == 12


def test_how_groups_were_made_is_said(clean, tmp_path):
    records = clean.records[:12]
    unnamed = [replace(record, group=record.pixel_hash[:16]) for record in records]
    said = []
    for part in (records, unnamed, [*records[:6], *unnamed[6:]]):
        found, _ = examine(part, clean.images, tmp_path / "scratch", DataAuditConfig(same_patient=0.8))
        said.append(found.grouping)
    assert [grouping["from_metadata"] for grouping in said] == [12, 0, 6]
    assert said[0]["how"].startswith("Groups are what the metadata or the file names say")
    assert "by at least 0.8 are taken for one patient's" in said[1]["how"]
    assert "the patient of 6 of 12 images" in said[2]["how"]


def test_the_findings_of_the_phantom_are_those_planted(audited):
    audit = summarise(audited.found)
    assert audit["across_test"] == {"images": 24, "exact": 4, "near": 20}
    assert audit["label_conflicts"]["sets"] == 2
    assert audit["suspects"]["masks"] == 4
    assert audit["unreadable"] == 2
    assert audit["policy"]["satisfied"]
    assert audit["verdict"].startswith("The published test split shares 24 of ")
