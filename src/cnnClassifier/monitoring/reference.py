"""What is kept of the training images, so that images in use can be compared with them: no picture and no name.

Every number is held out: probabilities are out of fold, and distances are from other groups' images, for so is what a
served model says of patients that it has not seen.
"""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from cnnClassifier.errors import ModelError
from cnnClassifier.files import new_file
from cnnClassifier.monitoring.properties import PROPERTIES

REFERENCE_FILE = "reference.npz"
AXES = 4  # principal components of the features that are looked at
MOST = 2000  # images of a reference: 130 kB
FORMAT = 1
COLUMNS = ("groups", "probabilities", "distances", "components", "properties")  # an image a row

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Axes:
    """The directions in which training features vary most: `components` (k, d) of features less `mean` (d,)."""

    mean: Floats
    components: Floats

    def project(self, features: NDArray[np.floating]) -> Floats:
        """Features (n, d) as (n, k) coordinates, each of about unit variance among the training images."""
        centred = features.astype(np.float32) - self.mean
        return (centred @ self.components.T).astype(np.float32)


@dataclass(frozen=True)
class TrainingReference:
    """The training images (n), as a served model would have seen them had they been new.

    `groups` (n,) numbers patients or scans, since images of one are alike; `probabilities` (n, classes) are calibrated;
    `distances` (n,) as outliers.distances has them; `components` (n, k) on `axes`; `properties` (n, PROPERTIES).
    """

    groups: NDArray[np.int32]
    probabilities: Floats
    distances: Floats
    components: Floats
    properties: Floats
    axes: Axes

    def __len__(self) -> int:
        return len(self.groups)


def build_reference(
    features: NDArray[np.floating],
    groups: Sequence[str],
    probabilities: NDArray[np.floating],
    distances: NDArray[np.floating],
    properties: NDArray[np.floating],
    seed: int,
) -> TrainingReference:
    """A reference of all images or, of more than MOST, of as many whole groups, drawn with `seed`, as fit.

    Whole ones: how alike a group's images are is what says how much chance moves a window (`drift`).
    """
    rows = _whole_groups(groups, seed)
    axes = fit_axes(features[rows])
    numbers = np.unique([groups[row] for row in rows], return_inverse=True)[1]
    return TrainingReference(
        groups=numbers.astype(np.int32),
        probabilities=probabilities[rows].astype(np.float32),
        distances=distances[rows].astype(np.float32),
        components=axes.project(features[rows]),
        properties=properties[rows].astype(np.float32),
        axes=axes,
    )


def fit_axes(features: NDArray[np.floating], count: int = AXES) -> Axes:
    """The first principal components of standardised features (n, d), scaled to unit variance; at most n - 1 of them.

    A feature that hardly varies is not blown up: a tenth of the mean deviation is added to each.
    """
    values = features.astype(np.float64)
    mean, deviation = values.mean(axis=0), values.std(axis=0)
    deviation += 0.1 * deviation.mean() + np.finfo(np.float32).tiny
    standardised = (values - mean) / deviation
    # Of n images' inner products, not of d features' covariances: there are fewer images, and few axes are wanted.
    first = max(0, len(values) - count)
    variances, left = eigh(standardised @ standardised.T, subset_by_index=(first, len(values) - 1))
    found = variances > 1e-9 * max(variances[-1], 1e-12)
    variances, left = variances[found][::-1], left[:, found][:, ::-1]
    directions = left.T @ standardised / np.sqrt(variances)[:, None]
    # A direction and its opposite are the same: the largest entry is positive, on every machine.
    signs = np.sign(directions[np.arange(len(directions)), np.abs(directions).argmax(axis=1)])
    components = directions * (signs * np.sqrt(len(values) / variances))[:, None] / deviation
    # As the file holds them, so that a coordinate is the same before and after it is saved.
    return Axes(mean.astype(np.float16).astype(np.float32), components.astype(np.float32))


def save_training_reference(reference: TrainingReference, path: Path) -> None:
    """Write a reference; equal references are equal files."""
    with new_file(path) as partial, partial.open("wb") as file:
        np.savez(
            file,
            format=np.int32(FORMAT),
            properties_named=np.array(PROPERTIES),
            axes_mean=reference.axes.mean.astype(np.float16),
            axes_components=reference.axes.components,
            **{name: getattr(reference, name) for name in COLUMNS},
        )


def load_training_reference(folder: Path) -> TrainingReference | None:
    """A package's reference; None where it has none, as those made before there was monitoring.

    ModelError for a damaged one, or one with other properties than this version measures.
    """
    path = folder / REFERENCE_FILE
    try:
        with np.load(path, allow_pickle=False) as file:
            if int(file["format"]) != FORMAT or tuple(file["properties_named"].tolist()) != PROPERTIES:
                raise ModelError(f"{path}: a reference that this version does not read; register the model again")
            axes = Axes(file["axes_mean"].astype(np.float32), file["axes_components"])
            columns = {name: file[name] for name in COLUMNS}
            return TrainingReference(**columns, axes=axes)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path}: not a training reference: {error}") from None


def _whole_groups(groups: Sequence[str], seed: int) -> list[int]:
    """Rows of groups in a drawn order while they fit into MOST, in their own order; of a larger first one, a part."""
    rows: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        rows.setdefault(group, []).append(row)
    names = sorted(rows)
    drawn = [rows[names[place]] for place in np.random.default_rng(seed).permutation(len(names))]
    kept: list[int] = []
    for members in drawn:
        if len(kept) + len(members) <= MOST:
            kept += members
    return sorted(kept or drawn[0][:MOST])
