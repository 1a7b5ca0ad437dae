"""Faults of real data sets, planted on purpose so that what should find them can be tested.

Each fault adds files (`source_shortcut` converts the normal ones) and a row of truth. Copies are taken from
training images; with `source_shortcut` from cancers only, so that a file has one fault.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count, islice
from pathlib import Path

import numpy as np
from PIL import Image

from cnnClassifier.config.data import SPLITS, PhantomSource
from cnnClassifier.datasets.phantom.truth import Truth, measure_lesion
from cnnClassifier.errors import ConfigError

CANCERS = ("adenocarcinoma", "large_cell_carcinoma", "squamous_cell_carcinoma")
NORMAL = "normal"
CROP = (0.02, 0.08)  # share of a side cut off by a re-cropped copy
SHORTCUT_SCALE, SHORTCUT_BORDER, BORDER_GREY, JPEG_QUALITY = 1.2, 2, 235, 88


def check_faults(source: PhantomSource, training_images: int) -> None:
    """Raise ConfigError when more copies or masks are asked for than there are training images to take."""
    faults = source.faults
    copies = faults.exact_copies + faults.recropped_copies + faults.label_conflicts + faults.masks_among_images
    available = training_images * len(CANCERS) // (len(CANCERS) + 1)
    if copies > available:
        raise ConfigError(
            f"data_ingestion.source.faults: asks for {copies} copies and masks, but there are only {available} "
            "training images of cancers; ask for fewer or raise patients_per_class"
        )


def plant_faults(folder: Path, rows: Sequence[Truth], source: PhantomSource, rng: np.random.Generator) -> list[Truth]:
    """Plant the faults asked for below `folder`; all rows of truth, the planted ones among them."""
    faults, rows = source.faults, list(rows)
    if faults.source_shortcut:
        rows = [_change_source(folder, row) if row.label == NORMAL else row for row in rows]
    names = (f"p{number:04d}" for number in count(len({row.patient for row in rows})))
    cancers, anything = _sources(rows, rng, faults.source_shortcut)
    planted = [
        *(_add_mask(folder, row) for row in islice(cancers, faults.masks_among_images)),
        *(_add_conflict(folder, row, next(names), rng) for row in islice(cancers, faults.label_conflicts)),
    ]
    taken = {row.source_path for row in planted}
    free = (row for row in anything if row.path not in taken)
    planted += [_add_exact_copy(folder, row) for row in islice(free, faults.exact_copies)]
    planted += [_add_recropped(folder, row, next(names), rng) for row in islice(free, faults.recropped_copies)]
    planted += [_add_unreadable(folder, rows, next(names), kind, rng) for kind in range(faults.unreadable)]
    return [*rows, *planted]


def _sources(
    rows: Sequence[Truth], rng: np.random.Generator, cancers_only: bool
) -> tuple[Iterator[Truth], Iterator[Truth]]:
    """Training images in random order: the cancers, and those any copy may be taken from."""
    train = sorted((row for row in rows if row.split == "train"), key=lambda row: row.path)
    shuffled = [train[index] for index in rng.permutation(len(train))]
    cancers = [row for row in shuffled if row.label != NORMAL]
    return iter(cancers), iter(cancers if cancers_only else shuffled)


def _add_exact_copy(folder: Path, row: Truth) -> Truth:
    stem = Path(row.path).stem
    path = f"test/{row.label}/{stem} - Copy.png"
    return _copy(folder, row, replace(row, path=path, split="test", fault="exact_copy", source_path=row.path))


def _add_conflict(folder: Path, row: Truth, name: str, rng: np.random.Generator) -> Truth:
    other = str(rng.choice([label for label in CANCERS if label != row.label]))
    path = f"train/{other}/{name}_s0.png"
    return _copy(folder, row, replace(row, path=path, label=other, fault="label_conflict", source_path=row.path))


def _copy(folder: Path, source: Truth, copy: Truth) -> Truth:
    for kind in ("images", "masks"):
        file = folder / kind / source.path
        if file.is_file():
            (folder / kind / copy.path).write_bytes(file.read_bytes())
    return copy


def _add_mask(folder: Path, row: Truth) -> Truth:
    path = row.path.replace(".png", "_mask.png")
    (folder / "images" / path).write_bytes((folder / "masks" / row.path).read_bytes())
    return replace(row, path=path, fault="mask_among_images", source_path=row.path)


def _add_recropped(folder: Path, row: Truth, name: str, rng: np.random.Generator) -> Truth:
    """The same slice as another hand would have saved it: other margins, a slightly other window."""
    path = f"test/{row.label}/{name}_s0.png"
    image = Image.open(folder / "images" / row.path)
    left, top, right, bottom = rng.uniform(*CROP, 4)
    box = (left * image.width, top * image.height, (1 - right) * image.width, (1 - bottom) * image.height)
    grey = np.asarray(image.resize(image.size, Image.Resampling.BICUBIC, box), np.float32)
    windowed = np.clip(grey * rng.uniform(0.93, 1.07) + rng.uniform(-8, 8), 0, 255)
    Image.fromarray(windowed.round().astype(np.uint8)).save(folder / "images" / path)
    copy = replace(row, path=path, split="test", fault="recropped_copy", source_path=row.path)
    mask_file = folder / "masks" / row.path
    if not mask_file.is_file():
        return copy
    mask = Image.open(mask_file).resize(image.size, Image.Resampling.NEAREST, box)
    mask.save(folder / "masks" / path)
    return measure_lesion(copy, np.asarray(mask) > 0)


def _add_unreadable(folder: Path, rows: Sequence[Truth], name: str, kind: int, rng: np.random.Generator) -> Truth:
    """By turns a picture cut short, a text called .png, and an empty file."""
    split, label = SPLITS[rng.integers(len(SPLITS))], str(rng.choice(CANCERS))
    path, source_path, content = f"{split}/{label}/{name}_s0.png", "", b""
    if kind % 3 == 0:
        source = sorted(row.path for row in rows if (row.split, row.label) == (split, label))[0]
        whole = (folder / "images" / source).read_bytes()
        source_path, content = source, whole[: len(whole) * 3 // 5]
    elif kind % 3 == 1:
        content = b"This is not an image.\n"
    (folder / "images" / path).write_bytes(content)
    return Truth(path, "", None, split, label, fault="unreadable", source_path=source_path)


def _change_source(folder: Path, row: Truth) -> Truth:
    """Save a normal image as another hospital would: RGB JPEG, another size, a thin bright border."""
    file = folder / "images" / row.path
    size = round(SHORTCUT_SCALE * Image.open(file).width)
    grey = np.array(Image.open(file).resize((size, size), Image.Resampling.BICUBIC))
    framed = np.full_like(grey, BORDER_GREY)
    inner = slice(SHORTCUT_BORDER, size - SHORTCUT_BORDER)
    framed[inner, inner] = grey[inner, inner]
    stream = io.BytesIO()
    Image.fromarray(framed).convert("RGB").save(stream, "JPEG", quality=JPEG_QUALITY)
    path = row.path.replace(".png", ".jpg")
    (folder / "images" / path).write_bytes(stream.getvalue())
    file.unlink()
    return replace(row, path=path, fault="source_shortcut")
