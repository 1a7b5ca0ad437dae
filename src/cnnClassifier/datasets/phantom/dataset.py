"""Write a phantom data set: patients dealt to splits, drawn in parallel, faults planted, truth written down.

A patient is drawn from the seed and its own number alone, so the files do not depend on how many processes
draw them. Byte-equal on one machine; another CPU may round a grey level differently.
"""

import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from cnnClassifier.config.data import SPLITS, PhantomSource, Split
from cnnClassifier.cores import usable_cores
from cnnClassifier.datasets.phantom.faults import check_faults, plant_faults
from cnnClassifier.datasets.phantom.patient import draw_patient, take_slices
from cnnClassifier.datasets.phantom.truth import TRUTH_FILE, Truth, measure_lesion, write_truth
from cnnClassifier.errors import DataError
from cnnClassifier.files import new_folder

CLASSES = ("adenocarcinoma", "large_cell_carcinoma", "squamous_cell_carcinoma", "normal")
VALID_SHARE, TEST_SHARE = 0.15, 0.2
# Streams of random numbers beside those of the patients, which are (seed, patient number).
DEALING, FAULTS = -1, -2


@dataclass(frozen=True)
class Case:
    """A patient to be drawn: number, class and split."""

    number: int
    label: str
    split: Split


def write_phantom(root: Path, source: PhantomSource, workers: int | None = None) -> None:
    """Write images/, masks/ and truth.csv below `root`, replacing an older phantom there.

    `workers` processes draw patients (default: one a CPU; 1 draws in this process). They are spawned, so a
    script that calls this needs the `if __name__ == "__main__"` guard. Raises DataError when `root`
    is a folder that is not a phantom, ConfigError when more faults are asked for than there are images.
    """
    if root.exists() and any(root.iterdir()) and not (root / TRUTH_FILE).is_file():
        raise DataError(f"{root}: holds something that is not a phantom; remove it or choose another folder")
    cases = deal_cases(source)
    check_faults(source, sum(case.split == "train" for case in cases) * source.slices_per_patient)
    with new_folder(root) as folder:
        make_folders(folder)
        rows = list(_draw_all(cases, source, folder, workers or usable_cores()))
        rows = plant_faults(folder, rows, source, _stream(source, FAULTS))
        write_truth(rows, folder)


def deal_cases(source: PhantomSource) -> list[Case]:
    """Give every patient a class and a split: the same shares in each class, numbers that tell nothing."""
    rng = _stream(source, DEALING)
    count = source.patients_per_class
    numbers = rng.permutation(count * len(CLASSES)).reshape(len(CLASSES), count)
    valid, test = max(1, round(VALID_SHARE * count)), max(1, round(TEST_SHARE * count))
    shares: dict[Split, int] = {"valid": valid, "test": test, "train": count - valid - test}
    splits = [split for split, patients in shares.items() for _ in range(patients)]
    return [
        Case(int(number), label, split)
        for label, row in zip(CLASSES, numbers, strict=True)
        for number, split in zip(row, splits, strict=True)
    ]


def make_folders(folder: Path) -> None:
    """Make images/ and masks/ with their split and class folders; normals have no masks."""
    for split in SPLITS:
        for label in CLASSES:
            (folder / "images" / split / label).mkdir(parents=True)
            if label != "normal":
                (folder / "masks" / split / label).mkdir(parents=True)


def _draw_all(cases: Sequence[Case], source: PhantomSource, folder: Path, workers: int) -> Iterator[Truth]:
    draw = partial(write_patient, source=source, folder=folder)
    with tqdm(total=len(cases), desc="phantom", unit="patient", disable=None) as progress:
        for rows in _map(draw, cases, workers):
            progress.update()
            yield from rows


def _map(draw: partial[list[Truth]], cases: Sequence[Case], workers: int) -> Iterator[list[Truth]]:
    if workers == 1:
        yield from map(draw, cases)
        return
    # spawn, not fork: the caller may run threads, and fork copies their locks as they stand.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(cases)), mp_context=context, initializer=_end_with_parent) as pool:
        yield from pool.map(draw, cases)


def write_patient(case: Case, source: PhantomSource, folder: Path) -> list[Truth]:
    """Draw one patient and write the slices and masks; what each file is."""
    rng = _stream(source, case.number)
    patient = draw_patient(rng, case.label, source.slices_per_patient)
    rows = []
    for number, shot in enumerate(take_slices(patient, source.image_size, rng)):
        name = f"p{case.number:04d}"
        path = f"{case.split}/{case.label}/{name}_s{number}.png"
        Image.fromarray(shot.picture).save(folder / "images" / path)
        mask = None if shot.lesion is None else shot.lesion > 0.5
        if mask is not None:
            Image.fromarray(mask.astype(np.uint8) * 255).save(folder / "masks" / path, optimize=True)
        rows.append(measure_lesion(Truth(path, name, number, case.split, case.label), mask))
    return rows


def _stream(source: PhantomSource, number: int) -> np.random.Generator:
    # SeedSequence takes no negative numbers; shifting keeps the two special streams apart from patients.
    return np.random.default_rng([source.seed, number + 2])


def _end_with_parent() -> None:
    """Let a worker die with the process that started it, even if that one is killed outright."""

    def wait() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
