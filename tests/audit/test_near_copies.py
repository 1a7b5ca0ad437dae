"""Near copies: found however a picture was saved again, and only between pictures of one slice."""

import io
import random
import shutil

import numpy as np
import pytest
from PIL import Image, ImageDraw

from cnnClassifier.audit.descriptor import _file_of_pictures, sketch_images
from cnnClassifier.audit.examine import examine
from cnnClassifier.audit.facts import gather_facts
from cnnClassifier.audit.folder import list_images
from cnnClassifier.audit.near_copies import NEIGHBOURS, find_matches
from cnnClassifier.audit.summary import summarise
from cnnClassifier.config.data import DataAuditConfig
from cnnClassifier.datasets.ingest import describe_readable

CONFIG = DataAuditConfig()
ORIGINALS, ALTERED = 10, 3


def windowed(image):
    grey = np.asarray(image, np.float32)
    return Image.fromarray(np.clip(grey * 1.3 - 20, 0, 255).astype(np.uint8))


def compressed(image):
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=40)
    return Image.open(stream)


def mirrored(image):
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def scribbled(image):
    drawn = image.copy()
    ImageDraw.Draw(drawn).line([(60, 190), (100, 90), (180, 120)], fill=255, width=1)
    return drawn


def recropped(image):
    return image.crop((12, 20, 246, 240)).resize((300, 280), Image.Resampling.BICUBIC)


def padded(image):
    wide = Image.new("L", (image.width + 90, image.height + 20))
    wide.paste(image, (30, 15))
    return wide


WAYS = {way.__name__: way for way in (windowed, compressed, mirrored, scribbled, recropped, padded)}


@pytest.fixture(scope="module")
def collection(audited, tmp_path_factory):
    """A folder with one slice of each of some patients, and some of them saved again in every way."""
    folder = tmp_path_factory.mktemp("collection")
    truth, first = audited.phantom.truth, {}
    for record in audited.phantom.records:
        if not truth[record.path]["fault"]:
            first.setdefault(truth[record.path]["patient"], record.path)
    for number, path in enumerate(list(first.values())[:ORIGINALS]):
        image = Image.open(audited.phantom.images / path)
        image.save(folder / f"p{number}.png")
        if number < ALTERED:
            for name, way in WAYS.items():
                way(image).save(folder / f"p{number} {name}.png")
    return folder


@pytest.fixture(scope="module")
def records(collection):
    return describe_readable(list_images(collection)[0])[0]


@pytest.fixture(scope="module")
def matches(collection, records, tmp_path_factory):
    """The related pairs with their best match, by their names."""
    hashes = gather_facts(records, collection).phash.view(np.uint8).reshape(-1, 8)
    found = find_matches(sketch_images(records, collection, tmp_path_factory.mktemp("scratch")), hashes)
    best = {}
    for match in sorted(found, key=lambda match: match.correlation):
        best[frozenset((records[match.first].path, records[match.second].path))] = match
    return best


@pytest.mark.parametrize("way", WAYS)
def test_a_picture_saved_again_is_found(matches, way):
    for number in range(ALTERED):
        match = matches[frozenset((f"p{number} {way}.png", f"p{number}.png"))]
        assert match.correlation >= CONFIG.near_copy
        assert match.mirrored == (way == "mirrored")


def test_pictures_of_two_patients_are_neither_near_copies_nor_one_patient(matches):
    strangers = [match.correlation for pair, match in matches.items() if len({path[:2] for path in pair}) == 2]
    assert max(strangers, default=0) < CONFIG.same_patient


def test_the_order_of_listing_does_not_matter(collection, records, tmp_path):
    shuffled = random.Random(0).sample(records, len(records))
    one, other = (examine(order, collection, tmp_path / "scratch", CONFIG)[0] for order in (records, shuffled))
    assert one.pairs == other.pairs
    assert {item.path: item.group for item in one.records} == {item.path: item.group for item in other.records}


def test_a_picture_with_more_copies_than_neighbours_has_its_near_copies(collection, tmp_path):
    """As many of it on both sides: whichever is asked, all its neighbours are itself."""
    crowd = NEIGHBOURS + 1
    for split, name in (("test", "p0.png"), ("train", "p0 recropped.png")):
        for copy in range(crowd):
            target = tmp_path / f"data/{split}/a/p0 {copy}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(collection / name, target)
    for number in range(1, ORIGINALS):
        shutil.copy(collection / f"p{number}.png", tmp_path / "data/train/a")
    records = describe_readable(list_images(tmp_path / "data")[0])[0]
    found, _ = examine(records, tmp_path / "data", tmp_path / "scratch", CONFIG)
    assert summarise(found)["across_test"] == {"images": crowd, "exact": 0, "near": crowd}
    assert not any("p0" in record.path for record in found.kept.records if record.split == "train")
    assert len({record.group for record in found.records if "p0" in record.path}) == 1


def test_planted_recropped_copies_are_found_and_hardly_anything_else(audited):
    """A copy of a picture that has an exact copy, too, is a near copy of both."""
    pixels = {record.path: record.pixel_hash for record in audited.phantom.records}
    planted = {frozenset(pixels[path] for path in pair) for pair in audited.phantom.sources("recropped_copy")}
    found = {
        frozenset((pixels[pair.first], pixels[pair.second])) for pair in audited.found.pairs if pair.kind == "near"
    }
    assert len(planted) == 20
    assert len(planted & found) >= 0.95 * len(planted)
    assert len(planted & found) >= 0.95 * len(found)


def test_planted_exact_copies_are_all_found_and_nothing_else(audited):
    planted = audited.phantom.sources("exact_copy") | audited.phantom.sources("label_conflict")
    assert {(pair.first, pair.second) for pair in audited.found.pairs if pair.kind == "exact"} == planted


def test_masks_are_never_near_copies(audited):
    """Those of neighbouring slices look alike, and say nothing of the pictures."""
    masks = audited.phantom.with_fault("mask_among_images")
    assert {suspect.path for suspect in audited.found.suspects} == masks
    assert not any({pair.first, pair.second} & masks for pair in audited.found.pairs if pair.kind == "near")


def test_a_file_of_pictures_has_its_room_before_any_is_written(tmp_path):
    """With holes in it, a full disk would end the process by a signal, without a word."""
    assert _file_of_pictures(tmp_path / "pictures.npy", 20).shape == (20, 128, 128)
    found = (tmp_path / "pictures.npy").stat()
    assert found.st_blocks * 512 >= found.st_size >= 20 * 128 * 128
