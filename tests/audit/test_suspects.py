"""Masks and blank pictures: all found, and no scan taken for one, however its contrast is clipped."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnClassifier.audit.facts import NAMES, Facts, gather_facts, look_at
from cnnClassifier.audit.folder import list_images
from cnnClassifier.audit.suspects import find_suspects
from cnnClassifier.datasets.ingest import describe_readable
from cnnClassifier.preprocessing import decode
from pictures import encode

KAGGLE = Path(os.environ.get("KAGGLEHUB_CACHE", Path.home() / ".cache/kagglehub")) / "datasets"
ULTRASOUND = KAGGLE / "aryashah2k/breast-ultrasound-images-dataset/versions/1/Dataset_BUSI_with_GT"


def kind_of(record, *pictures: bytes, deep: bool = False) -> list[str | None]:
    """What the audit takes encoded pictures for; any record lends them its name."""
    rows = np.array([look_at(decode(picture), deep)[0] for picture in pictures], np.float32)
    facts = Facts(np.array([record.id] * len(rows)), NAMES, rows, np.zeros(len(rows), np.uint64))
    return [(find_suspects([record], one_row(facts, row)) or [None])[0] for row in range(len(rows))]


def one_row(facts: Facts, row: int) -> Facts:
    return Facts(facts.ids[row : row + 1], facts.names, facts.values[row : row + 1], facts.phash[row : row + 1])


def kinds(record, *pictures: bytes, deep: bool = False) -> list[str | None]:
    return [suspect and suspect.kind for suspect in kind_of(record, *pictures, deep=deep)]


def test_all_planted_masks_are_found_and_nothing_else(faulty):
    found = find_suspects(faulty.records, faulty.facts)
    assert {suspect.path for suspect in found} == faulty.with_fault("mask_among_images")
    assert {suspect.kind for suspect in found} == {"mask"}


def test_a_clean_set_has_no_suspects(clean):
    assert find_suspects(clean.records, clean.facts) == []


def test_masks_are_known_resized_and_compressed(faulty):
    path = sorted(faulty.with_fault("mask_among_images"))[0]
    mask = Image.open(faulty.images / path)
    again = [
        encode(mask, "JPEG", quality=40),
        encode(mask.resize((200, 160), Image.Resampling.BICUBIC)),
        encode(mask.resize((256, 256), Image.Resampling.BILINEAR), "JPEG", quality=75),
        encode(mask.convert("1")),
    ]
    assert kinds(faulty.records[0], *again) == ["mask"] * 4


def test_a_mask_of_several_classes_is_a_mask(clean):
    classes = np.zeros((90, 120), np.uint8)
    classes[20:50, 30:60], classes[60:80, 30:60], classes[20:80, 70:100] = 85, 170, 255
    assert kinds(clean.records[0], encode(Image.fromarray(classes))) == ["mask"]


def test_flat_pictures_are_blank_also_with_noise(clean):
    noisy = np.random.default_rng(0).normal(240, 1.5, (100, 100)).clip(0, 255).astype(np.uint8)
    pictures = [Image.new("L", (50, 40)), Image.new("RGB", (50, 40), "white"), Image.fromarray(noisy)]
    assert kinds(clean.records[0], *map(encode, pictures)) == ["blank"] * 3


@pytest.mark.parametrize("window", [(1, 99), (10, 90), (1, 60), (50, 99)])
def test_scans_with_clipped_contrast_are_not_masks(clean, window):
    scans = [decode((clean.images / record.path).read_bytes()) for record in clean.records[::8]]
    limits = [np.percentile(scan, window) for scan in scans]
    clipped = [(scan - low) * (255 / (high - low)) for scan, (low, high) in zip(scans, limits, strict=True)]
    pictures = [encode(Image.fromarray(scan.clip(0, 255).astype(np.uint8)[..., 0])) for scan in clipped]
    assert kinds(clean.records[0], *pictures) == [None] * len(pictures)


@pytest.mark.real_data
def test_the_seven_masks_of_the_ultrasound_sample_are_found_and_no_scan(clean):
    files = sorted(ULTRASOUND.rglob("*.png"))
    assert any("_mask" in file.name for file in files), f"no sample in {ULTRASOUND}"
    found = kinds(clean.records[0], *(file.read_bytes() for file in files))
    assert [file.name for file, kind in zip(files, found, strict=True) if kind] == [
        file.name for file in files if "_mask" in file.name
    ]


def test_twelve_bits_in_a_file_of_sixteen_are_seen_in_the_range_that_they_use(clean, faulty):
    """Hounsfield units and 32768, too; what is blank in twelve bits stays blank."""
    scan = decode((clean.images / clean.records[0].path).read_bytes())[..., 0] / 255
    mask = decode((faulty.images / sorted(faulty.with_fault("mask_among_images"))[0]).read_bytes())[..., 0] / 255
    noise = np.random.default_rng(0).normal(0.5, 0.006, scan.shape).clip(0, 1)
    shown = [scan * 4095, scan * 2000 + 31768, scan * 65535, mask * 4095, noise * 4095, np.zeros(scan.shape)]
    files = [encode(Image.fromarray(each.round().astype(np.uint16))) for each in shown]
    assert kinds(clean.records[0], *files, deep=True) == [None, None, None, "mask", "blank", "blank"]


def test_files_of_sixteen_bits_are_known_by_their_mode(clean, tmp_path):
    scan = decode((clean.images / clean.records[0].path).read_bytes())[..., 0]
    for number in range(2):
        dark = (scan / 255 * (4095 - number)).astype(np.uint16)
        (tmp_path / f"{number}.png").write_bytes(encode(Image.fromarray(dark)))
    head, levels = b"P5 %d %d 65535\n" % scan.shape[::-1], (scan / 255 * 4000).astype(">u2")
    (tmp_path / "2.pgm").write_bytes(head + levels.tobytes())
    records = describe_readable(list_images(tmp_path)[0])[0]
    assert len(records) == 3
    assert find_suspects(records, gather_facts(records, tmp_path)) == []
