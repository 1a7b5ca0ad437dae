"""The detector of other kinds of image: how far an image's features lie from those of the training images.

k-nearest-neighbour distance of normalised features (Sun et al. 2022, "Out-of-Distribution Detection with Deep
Nearest Neighbors"). It is fitted on the model's own images alone: nobody knows what else will be uploaded.
"""

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnnClassifier.errors import DataError, ModelError
from cnnClassifier.files import new_file

NEIGHBOURS = 5
FOLDS = 5
LARGEST = 1_000_000  # numbers of a reference, 2 MB in half precision, however many training images there are
FEWEST = 100  # rows of a reference, however many features they have
LEAST_DEVIATION = 0.1  # of the mean one: a feature that hardly ever moves must not decide alone
CHUNK = 1024  # images scored at a time
ROUNDING = 1e-9  # (99 + 1) * 0.99 must not become 100


@dataclass(frozen=True)
class Reference:
    """What is kept of the training images: unit vectors (m, d), and each feature's deviation (d,)."""

    rows: NDArray[np.float32]
    deviation: NDArray[np.float32]


@dataclass(frozen=True)
class OutlierDetector:
    """A fitted outlier detector; `held_out` (n,) is each training image's distance from the images of other groups."""

    reference: Reference
    threshold: float
    held_out: NDArray[np.float64]


def fit_outliers(features: NDArray[np.floating], groups: Sequence[str], share: float, seed: int) -> OutlierDetector:
    """Fit the detector on training images' features (n, d): at most `share` of a new group's images should be refused.

    The threshold is a quantile of leave-group-out distances, so that a patient's own images are never what makes
    that patient look near. DataError if there are fewer than two groups.
    """
    held_out = held_out_distances(features, groups, seed)
    return OutlierDetector(build_reference(features, groups, seed), quantile_above(held_out, share), held_out)


def build_reference(features: NDArray[np.floating], groups: Sequence[str], seed: int) -> Reference:
    """What later images are compared with: every image where there are few, else some of as many groups as fit."""
    deviation = features.std(axis=0, dtype=np.float64)
    # Divided by, not centred: directions from zero tell kinds apart, from the mean they do not (docs/decisions.md).
    deviation = (deviation + LEAST_DEVIATION * deviation.mean() + np.finfo(np.float32).tiny).astype(np.float32)
    most = max(FEWEST, LARGEST // features.shape[1])
    rows = _unit(features[_spread(groups, seed)[:most]], deviation)
    # Rounded to what the file holds, so that a detector is the same before and after it is saved.
    return Reference(rows.astype(np.float16).astype(np.float32), deviation)


def distances(reference: Reference, features: NDArray[np.floating]) -> NDArray[np.float64]:
    """Distance (n,) of features (n, d) to their fifth nearest reference image.

    Between unit vectors: 0 is the same direction, 1.41 nothing in common, 2 the opposite.
    """
    chunks = (features[start : start + CHUNK] for start in range(0, len(features), CHUNK))
    cosines = [_nearest_cosine(reference.rows, _unit(chunk, reference.deviation)) for chunk in chunks]
    distance: NDArray[np.float64] = np.sqrt(np.clip(2 - 2 * np.concatenate(cosines, dtype=np.float64), 0, None))
    return distance


def held_out_distances(features: NDArray[np.floating], groups: Sequence[str], seed: int) -> NDArray[np.float64]:
    """Distance (n,) of each image from a reference made of other groups' images, in folds over groups."""
    distance = np.empty(len(features))
    for rest, fold in _folds(groups, seed):
        reference = build_reference(features[rest], [groups[row] for row in rest], seed)
        distance[fold] = distances(reference, features[fold])
    return distance


def held_out_refused(features: NDArray[np.floating], groups: Sequence[str], share: float, seed: int) -> float:
    """The share of images refused when reference and threshold are both fitted without their groups (nested folds).

    DataError if there are fewer than three groups.
    """
    refused = np.empty(len(features), dtype=bool)
    for rest, fold in _folds(groups, seed):
        detector = fit_outliers(features[rest], [groups[row] for row in rest], share, seed)
        refused[fold] = ~(distances(detector.reference, features[fold]) <= detector.threshold)
    return float(refused.mean())


def quantile_above(held_out: NDArray[np.floating], share: float) -> float:
    """The least of the distances that at most `share` of new ones exceed: the conformal quantile, so a little above."""
    rank = ceil((len(held_out) + 1) * (1 - share) - ROUNDING)
    return float(np.sort(held_out)[min(rank, len(held_out)) - 1])


def save_reference(reference: Reference, path: Path) -> None:
    """Write a reference, in half precision; equal references are equal files."""
    with new_file(path) as partial, partial.open("wb") as file:
        np.savez(file, rows=reference.rows.astype(np.float16), deviation=reference.deviation)


def load_reference(path: Path) -> Reference:
    """Read a reference; ModelError naming the file that is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return Reference(file["rows"].astype(np.float32), file["deviation"])
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file; model.json has an outlier rule that needs it") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path}: not a reference for the outlier rule: {error}") from None


def _unit(features: NDArray[np.floating], deviation: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of length 1; a row of zeros stays one, and has nothing in common with any other."""
    scaled = features.astype(np.float32) / deviation
    lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
    unit: NDArray[np.float32] = (scaled / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return unit


def _nearest_cosine(rows: NDArray[np.float32], units: NDArray[np.float32]) -> NDArray[np.float32]:
    neighbours = min(NEIGHBOURS, len(rows))
    cosines: NDArray[np.float32] = np.partition(units @ rows.T, -neighbours, axis=1)[:, -neighbours]
    return cosines


def _spread(groups: Sequence[str], seed: int) -> NDArray[np.intp]:
    """Every row once, in a drawn order that takes one of each group before it takes a second of any."""
    drawn = np.random.default_rng(seed).permutation(len(groups))
    taken: dict[str, int] = {}
    turns = []
    for row in drawn:
        turns.append(taken.get(groups[row], 0))
        taken[groups[row]] = turns[-1] + 1
    order: NDArray[np.intp] = drawn[np.argsort(turns, kind="stable")]
    return order


def _folds(groups: Sequence[str], seed: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Rows to fit on and rows held out, fold by fold; no group is on both sides."""
    names, numbers = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 2:
        raise DataError(
            "the detector against other kinds of image needs images of at least two groups (patients or scans)"
        )
    fold_of_group = np.random.default_rng(seed).permutation(len(names)) % FOLDS
    folds = fold_of_group[numbers]
    for fold in np.unique(folds):
        yield np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
