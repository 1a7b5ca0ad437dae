import csv
import hashlib
import itertools
import os
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError
from scipy.ndimage import binary_dilation

from cnnClassifier.config.data import PhantomFaults, PhantomSource
from cnnClassifier.datasets.contact_sheet import contact_sheet
from cnnClassifier.datasets.phantom.dataset import write_phantom
from cnnClassifier.errors import ConfigError, DataError
from waiting import wait_until

SMALL = PhantomSource(kind="phantom", seed=3, patients_per_class=3, slices_per_patient=3, image_size=64)
FAULTS = PhantomFaults(exact_copies=3, recropped_copies=2, label_conflicts=1, masks_among_images=2, unreadable=3)
CANCERS = ("adenocarcinoma", "large_cell_carcinoma", "squamous_cell_carcinoma")


def read_truth(root: Path) -> list[dict[str, str]]:
    with (root / "truth.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def read_grey(file: Path) -> np.ndarray:
    return np.asarray(Image.open(file).convert("L"), float)


def digests(root: Path) -> dict[str, str]:
    files = (file for file in root.rglob("*") if file.is_file())
    return {str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def rows_with(rows: list[dict[str, str]], fault: str) -> list[dict[str, str]]:
    return [row for row in rows if row["fault"] == fault]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("clean") / "phantom"
    write_phantom(
        root, PhantomSource(kind="phantom", seed=1, patients_per_class=8, slices_per_patient=2, image_size=96)
    )
    return root


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("faulty") / "phantom"
    write_phantom(root, SMALL.model_copy(update={"faults": FAULTS}), workers=1)
    return root


def test_the_files_do_not_depend_on_the_run_or_on_how_many_processes_draw_them(faulty: Path, tmp_path: Path):
    write_phantom(tmp_path / "again", SMALL.model_copy(update={"faults": FAULTS}), workers=2)
    assert digests(tmp_path / "again") == digests(faulty)


def test_another_seed_draws_other_patients(faulty: Path, tmp_path: Path):
    write_phantom(tmp_path / "other", SMALL.model_copy(update={"seed": 4}), workers=1)
    assert not set(digests(tmp_path / "other").values()) & set(digests(faulty).values())


def test_images_are_grey_squares_and_the_truth_names_each_once(clean: Path):
    paths = sorted(file.relative_to(clean / "images").as_posix() for file in (clean / "images").rglob("*.*"))
    assert [row["path"] for row in read_truth(clean)] == paths
    assert len(paths) == 4 * 8 * 2
    for path in paths:
        image = Image.open(clean / "images" / path)
        assert (image.mode, image.size) == ("L", (96, 96))


def test_no_patient_is_in_two_splits_or_two_classes(clean: Path):
    homes = defaultdict(set)
    for row in read_truth(clean):
        homes[row["patient"]].add((row["split"], row["class"]))
        assert row["path"] == f"{row['split']}/{row['class']}/{row['patient']}_s{row['slice']}.png"
    assert all(len(places) == 1 for places in homes.values())


def test_every_class_has_the_same_share_of_patients_in_each_split(clean: Path):
    patients = {(row["class"], row["split"], row["patient"]) for row in read_truth(clean)}
    for label in (*CANCERS, "normal"):
        counts = [sum(patient[:2] == (label, split) for patient in patients) for split in ("train", "valid", "test")]
        assert counts == [5, 1, 2]


def test_every_cancer_slice_has_a_mask_with_its_lesion_and_no_normal_has_one(clean: Path):
    for row in read_truth(clean):
        mask_file = clean / "masks" / row["path"]
        assert mask_file.is_file() == (row["class"] != "normal")
        if mask_file.is_file():
            mask = np.asarray(Image.open(mask_file))
            assert set(np.unique(mask)) == {0, 255}
            assert (mask > 0).sum() >= 5
            assert np.argwhere(mask).mean(axis=0) == pytest.approx(
                [float(row["lesion_row"]), float(row["lesion_column"])], abs=0.1
            )


def test_masks_lie_on_the_lesions(clean: Path):
    for row in read_truth(clean):
        if row["class"] == "normal":
            continue
        image, mask = read_grey(clean / "images" / row["path"]), read_grey(clean / "masks" / row["path"]) > 0
        ring = binary_dilation(mask, iterations=5) & ~binary_dilation(mask, iterations=1)
        lung = np.percentile(image[ring], 25)
        assert image[mask].mean() > lung + 15, row["path"]


def test_neighbouring_slices_resemble_each_other_but_are_not_the_same(clean: Path):
    slices = defaultdict(list)
    for row in read_truth(clean):
        slices[row["patient"]].append(read_grey(clean / "images" / row["path"]))
    within = [np.abs(first - second).mean() for first, second in slices.values()]
    between = [np.abs(first[0] - second[0]).mean() for first, second in itertools.pairwise(slices.values())]
    assert min(within) > 0.5
    assert np.median(within) < 0.5 * np.median(between)


def test_squamous_tumours_are_more_central_and_large_cell_ones_larger_than_adenocarcinomas(clean: Path):
    size, aside = defaultdict(list), defaultdict(list)
    for row in read_truth(clean):
        if row["class"] != "normal":
            size[row["class"]].append(float(row["lesion_diameter"]))
            aside[row["class"]].append(abs(float(row["lesion_column"]) - 47.5))
    adeno, large, squamous = CANCERS
    assert np.median(size[large]) > np.median(size[squamous]) > np.median(size[adeno])
    assert np.median(aside[squamous]) < 0.8 * np.median(aside[adeno])
    assert np.median(aside[squamous]) < 0.8 * np.median(aside[large])
    assert max(size[squamous]) > min(size[large])


def test_the_truth_has_as_many_faults_as_were_asked_for(faulty: Path):
    rows = read_truth(faulty)
    asked = {
        "exact_copy": 3, "recropped_copy": 2, "label_conflict": 1, "mask_among_images": 2, "unreadable": 3,
        "": 4 * 3 * 3, "source_shortcut": 0,
    }  # fmt: skip
    assert {fault: len(rows_with(rows, fault)) for fault in asked} == asked
    assert len(rows) == sum(asked.values()) == len([*(faulty / "images").rglob("*.png")])


def test_exact_copies_are_training_files_put_into_test(faulty: Path):
    for row in rows_with(read_truth(faulty), "exact_copy"):
        assert row["path"].startswith("test/")
        assert row["path"].endswith(" - Copy.png")
        assert row["source_path"].startswith(f"train/{row['class']}/{row['patient']}_")
        assert digest_of(faulty, row["path"]) == digest_of(faulty, row["source_path"])


def test_recropped_copies_are_training_slices_in_another_frame(faulty: Path):
    for row in rows_with(read_truth(faulty), "recropped_copy"):
        assert row["path"].startswith("test/")
        assert row["source_path"].startswith("train/")
        copy = read_grey(faulty / "images" / row["path"])
        train = [other for other in read_truth(faulty) if other["split"] == "train" and not other["fault"]]
        likeness = {other["path"]: best_likeness(copy, read_grey(faulty / "images" / other["path"])) for other in train}
        assert max(likeness, key=likeness.__getitem__) == row["source_path"]
        assert np.abs(copy - read_grey(faulty / "images" / row["source_path"])).max() > 20


def test_label_conflicts_are_one_picture_under_two_labels_in_train(faulty: Path):
    for row in rows_with(read_truth(faulty), "label_conflict"):
        source_class = row["source_path"].split("/")[1]
        assert row["path"].split("/")[:2] == ["train", row["class"]]
        assert row["class"] != source_class
        assert digest_of(faulty, row["path"]) == digest_of(faulty, row["source_path"])


def test_masks_among_images_are_masks_and_lie_beside_their_image(faulty: Path):
    for row in rows_with(read_truth(faulty), "mask_among_images"):
        assert row["path"] == row["source_path"].replace(".png", "_mask.png")
        image, mask = faulty / "images" / row["path"], faulty / "masks" / row["source_path"]
        assert image.read_bytes() == mask.read_bytes()


def test_unreadable_files_cannot_be_read(faulty: Path):
    contents = []
    for row in rows_with(read_truth(faulty), "unreadable"):
        file = faulty / "images" / row["path"]
        contents.append(file.read_bytes()[:4])
        with pytest.raises((UnidentifiedImageError, OSError)):
            Image.open(file).load()
    assert sorted(contents) == [b"", b"This", b"\x89PNG"]


def test_the_source_shortcut_marks_every_normal_and_nothing_else(tmp_path: Path):
    faults = PhantomFaults(exact_copies=2, source_shortcut=True)
    write_phantom(tmp_path / "phantom", SMALL.model_copy(update={"faults": faults}), workers=1)
    for row in read_truth(tmp_path / "phantom"):
        image = Image.open(tmp_path / "phantom" / "images" / row["path"])
        kind = (image.format, image.mode, image.width > SMALL.image_size)
        assert kind == (("JPEG", "RGB", True) if row["class"] == "normal" else ("PNG", "L", False))
        assert (row["fault"] == "source_shortcut") == (row["class"] == "normal")
        if row["class"] == "normal":
            assert np.asarray(image)[0].min() > 180


def test_an_older_phantom_is_replaced(tmp_path: Path):
    written = []
    one_slice = SMALL.model_copy(update={"slices_per_patient": 1})
    for seed in (5, 6):
        write_phantom(tmp_path / "phantom", one_slice.model_copy(update={"seed": seed}), workers=1)
        written.append(digests(tmp_path / "phantom"))
    assert written[0] != written[1]
    assert [entry.name for entry in tmp_path.iterdir()] == ["phantom"]


def test_a_folder_that_is_no_phantom_is_left_alone(tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("two years of work")
    with pytest.raises(DataError, match="not a phantom"):
        write_phantom(tmp_path, SMALL)
    assert (tmp_path / "thesis.txt").is_file()


def test_more_faults_than_images_is_an_error_that_names_the_key(tmp_path: Path):
    greedy = SMALL.model_copy(update={"faults": PhantomFaults(exact_copies=500)})
    with pytest.raises(ConfigError, match=r"data_ingestion\.source\.faults: asks for 500"):
        write_phantom(tmp_path / "phantom", greedy)
    assert not (tmp_path / "phantom").exists()


def test_a_kill_half_way_leaves_no_phantom_and_no_worker(tmp_path: Path):
    root, partial = tmp_path / "phantom", tmp_path / "phantom.partial"
    script = (
        "from pathlib import Path; from cnnClassifier.config.data import PhantomSource; "
        "from cnnClassifier.datasets.phantom.dataset import write_phantom; "
        "write_phantom(Path('phantom'), PhantomSource(kind='phantom', patients_per_class=60), workers=2)"
    )
    process = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, start_new_session=True)
    wait_until(lambda: any(partial.rglob("*.png")), seconds=60)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not root.exists()
    wait_until(lambda: not session_is_alive(process.pid), seconds=60)


def digest_of(root: Path, path: str) -> str:
    return hashlib.sha256((root / "images" / path).read_bytes()).hexdigest()


def best_likeness(copy: np.ndarray, source: np.ndarray) -> float:
    """The best correlation of `copy` with `source` cropped by 1-5 pixels on each side and stretched back."""
    size, image = source.shape[0], Image.fromarray(source.astype(np.uint8))
    crops = itertools.product((1, 3, 5), repeat=4)
    stretched = (
        image.resize((size, size), box=(left, top, size - right, size - bottom)) for left, top, right, bottom in crops
    )
    return max(float(np.corrcoef(np.asarray(crop, float).ravel(), copy.ravel())[0, 1]) for crop in stretched)


def session_is_alive(leader: int) -> bool:
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_contact_sheet_keeps_shapes_and_order():
    wide, tall = np.full((10, 20), 50, np.uint8), np.full((20, 10, 3), 200, np.uint8)
    sheet = np.asarray(contact_sheet([wide, tall, wide], columns=2, labels=["a", "b", "c"], tile=40))
    assert sheet.shape == (2 * 56, 80, 3)
    assert (sheet[20, 20], sheet[5, 20]) == (pytest.approx([50] * 3), pytest.approx([255] * 3))
    assert (sheet[20, 60], sheet[20, 45]) == (pytest.approx([200] * 3), pytest.approx([255] * 3))


def test_a_contact_sheet_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="at least one image"):
        contact_sheet([], columns=3)
    with pytest.raises(ValueError, match="a label for each"):
        contact_sheet([np.zeros((4, 4), np.uint8)], columns=1, labels=["a", "b"])
