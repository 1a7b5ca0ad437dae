"""More training examples for small classes: images repeated, or synthetic examples between images (SMOTE).

Each fit hands in the images it learns from and no others, so nothing is made from a held-out image.
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnnClassifier.batching import batches
from cnnClassifier.config.types import TrainingConfig
from cnnClassifier.datasets.manifest import ImageRecord
from cnnClassifier.errors import ConfigError
from cnnClassifier.features.extraction import BATCH, FeatureExtractor
from cnnClassifier.features.network import CHUNK, PLAIN
from cnnClassifier.fitting import Examples
from cnnClassifier.memory import GB, available_bytes
from cnnClassifier.model_spec import ModelSpec
from cnnClassifier.weighting import balanced_weights

FLOAT = 4  # bytes
# Bytes that SMOTE holds at once for each number of what it is given and of what it makes: copies, some in doubles.
GIVEN, MADE = 12, 24
SHARE = 0.8  # of the available memory: the rest of the program needs some, too

Integers = NDArray[np.int64]
Floats = NDArray[np.float32]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Balancing:
    """How one recipe's fits are balanced. ConfigError where the method cannot be had for what is trained on.

    `shape` is that of one image's features, as the tail takes them.
    """

    features: FeatureExtractor
    shape: tuple[int, ...]
    spec: ModelSpec
    config: TrainingConfig

    def __post_init__(self) -> None:
        if self.method == "smote" and len(self.shape) != 1:
            raise ConfigError(
                "training.balancing.method: `smote` makes examples between feature vectors, and with "
                f"prepare_base_model.freeze {self.spec.freeze!r} training takes arrays of {self.shape}; use "
                "`freeze: all`, or `oversample`"
            )

    @property
    def method(self) -> str:
        """Which method the settings ask for."""
        return self.config.balancing.method

    def check_memory(self, records: Sequence[ImageRecord]) -> None:
        """Raise ConfigError, naming both sizes, if the synthetic examples of these images would not fit in memory."""
        if self.method not in ("smote", "pixel_smote"):
            return
        numbers = self._numbers_of_a_picture if self.method == "pixel_smote" else math.prod(self.shape)
        needed = bytes_needed(self._labels(records), numbers, math.prod(self.shape))
        available = available_bytes()
        if needed > SHARE * available:
            raise ConfigError(
                f"training.balancing.method: `{self.method}` of {len(records)} images would need about "
                f"{needed / GB:.1f} GB of memory, and {available / GB:.1f} GB are available, of which "
                f"{SHARE:.0%} may be taken; use `oversample`, or `smote` on frozen features, or smaller pictures "
                "(prepare_base_model.preprocessing.image_size)"
            )

    def apply(self, real: Examples, records: Sequence[ImageRecord]) -> Examples:
        """The examples of a fit's own images, and those that its small classes lack; the real ones come first."""
        if self.method == "none":
            return real
        if self.method == "oversample":
            rows = repeated_rows(real.labels, self.config.seed)
            return self._weighed(lambda at, draw: real.read(rows[at], draw), real.labels[rows], real.weights[rows])
        made, labels = self._between_vectors(records) if self.method == "smote" else self._between_pictures(records)
        log.info("%s: %d synthetic examples beside %d images", self.method, len(made), len(records))
        weights = np.concatenate([real.weights, _mean_weights(real)[labels]])
        return self._weighed(_either(real, made), np.concatenate([real.labels, labels]), weights)

    def _weighed(
        self, read: Callable[[Integers, np.random.Generator], np.ndarray], labels: Integers, weights: Floats
    ) -> Examples:
        """Recompute class weights: after balancing, the classes are equal and must not be corrected twice."""
        if self.config.class_weights == "balanced":
            weights = balanced_weights(labels, len(self.spec.classes), weights)
        return Examples(read, labels, weights)

    def _between_vectors(self, records: Sequence[ImageRecord]) -> tuple[Floats, Integers]:
        vectors = np.concatenate([self.features.read(chunk, PLAIN) for chunk in batches(records, CHUNK)])
        deviation = vectors.std(axis=0)
        deviation[deviation == 0] = 1
        made, labels = self._smote(vectors / deviation, records)  # near in what the head sees: standardised features
        return made * deviation, labels

    def _between_pictures(self, records: Sequence[ImageRecord]) -> tuple[Floats, Integers]:
        pixels = np.empty((len(records), self._numbers_of_a_picture), np.float32)
        for row, record in enumerate(records):
            data = (self.features.images / record.path).read_bytes()
            pixels[row] = PLAIN.prepare(data, self.spec.preprocessing, record.sha256)[..., : self._channels].ravel()
        made, labels = self._smote(pixels, records)
        side = self.spec.preprocessing.image_size
        pictures = made.reshape(-1, side, side, self._channels)
        found = np.empty((len(made), *self.shape), np.float32)
        for first in range(0, len(made), BATCH):
            batch = np.broadcast_to(pictures[first : first + BATCH], (*pictures[first : first + BATCH].shape[:3], 3))
            found[first : first + BATCH] = self.features.forward(np.ascontiguousarray(batch))
        return found, labels

    def _smote(self, vectors: Floats, records: Sequence[ImageRecord]) -> tuple[Floats, Integers]:
        labels = self._labels(records)
        if single := [self.spec.classes[label] for label in np.flatnonzero(_needy(labels) & (np.bincount(labels) < 2))]:
            raise ConfigError(
                f"training.balancing.method: of {', '.join(single)} one part of the training images has a single one, "
                f"and `{self.method}` works between two; bring more images, or use `oversample`"
            )
        return smote(vectors, labels, self.config.balancing.neighbours, self.config.seed)

    def _labels(self, records: Sequence[ImageRecord]) -> Integers:
        return np.array([self.spec.classes.index(record.label) for record in records], np.int64)

    @property
    def _channels(self) -> int:
        return 1 if self.spec.preprocessing.channels == "grey" else 3  # grey pictures have three equal ones

    @property
    def _numbers_of_a_picture(self) -> int:
        return self.spec.preprocessing.image_size**2 * self._channels


def repeated_rows(labels: Integers, seed: int) -> Integers:
    """Rows of `labels` (n,): each once, in order, then repeats until every class there is as large as the largest.

    No image is repeated twice more than another of its class; which ones are repeated once more is drawn from the seed.
    """
    draw = np.random.default_rng(seed)
    counts = np.bincount(labels)
    repeats = []
    for label in np.flatnonzero(_needy(labels)):
        members = np.flatnonzero(labels == label)
        whole, rest = divmod(int(counts.max() - counts[label]), len(members))
        repeats += [np.tile(members, whole), draw.permutation(members)[:rest]]
    return np.concatenate([np.arange(len(labels)), *repeats])


def smote(vectors: Floats, labels: Integers, neighbours: int, seed: int) -> tuple[Floats, Integers]:
    """Synthetic vectors (m, d) and their classes (m,), so many that with them all classes are as large as the largest.

    Each lies on the line between a vector (n, d) and one of its `neighbours` nearest of the same class (Chawla et al.
    2002, "SMOTE: Synthetic Minority Over-sampling Technique"; imbalanced-learn). A class of no more vectors than
    `neighbours` takes all others of its own as neighbours; a class needs two.
    """
    from imblearn.over_sampling import SMOTE

    counts = np.bincount(labels)
    made: list[Floats] = [np.empty((0, vectors.shape[1]), np.float32)]
    for label in np.flatnonzero(_needy(labels)):
        members = np.flatnonzero(labels == label)
        stranger = np.flatnonzero(labels != label)[:1]  # SMOTE wants a second class, and takes nothing from it
        state = int(np.random.default_rng([seed, int(label)]).integers(2**31))
        sampler = SMOTE(
            sampling_strategy={1: int(counts.max())},
            k_neighbors=min(neighbours, len(members) - 1),
            random_state=state,
        )
        given = vectors[np.concatenate([members, stranger])]
        grown, _ = sampler.fit_resample(given, [1] * len(members) + [0])
        made.append(grown[len(given) :].astype(np.float32))
    lacking = counts.max() - counts
    return np.concatenate(made), np.repeat(np.arange(len(counts)), np.where(_needy(labels), lacking, 0))


def bytes_needed(labels: Integers, numbers: int, kept: int) -> int:
    """About how much memory SMOTE takes of images of so many numbers each, if `kept` numbers of each one made stay."""
    counts = np.bincount(labels)
    lacking = np.where(_needy(labels), counts.max() - counts, 0)
    at_once = max(GIVEN * int(given) + MADE * int(made) for given, made in zip(counts, lacking, strict=True))
    all_made = FLOAT * int(lacking.sum())
    return numbers * (FLOAT * len(labels) + all_made + max(at_once, all_made)) + all_made * kept


def _needy(labels: Integers) -> NDArray[np.bool_]:
    """Which classes (by index) occur and are smaller than the largest."""
    counts = np.bincount(labels)
    needy: NDArray[np.bool_] = (counts > 0) & (counts < counts.max())
    return needy


def _mean_weights(real: Examples) -> Floats:
    """The mean weight of each class's examples: what a synthetic one counts, belonging to no patient."""
    counts = np.bincount(real.labels)
    means: Floats = (np.bincount(real.labels, real.weights) / np.maximum(counts, 1)).astype(np.float32)
    return means


def _either(real: Examples, made: Floats) -> Callable[[Integers, np.random.Generator], np.ndarray]:
    """Reads rows of the real examples and, numbered on from them, of those made."""
    count = len(real.labels)

    def read(rows: Integers, draw: np.random.Generator) -> np.ndarray:
        features = np.empty((len(rows), *made.shape[1:]), np.float32)
        is_real = rows < count
        if is_real.any():
            features[is_real] = real.read(rows[is_real], draw)
        features[~is_real] = made[rows[~is_real] - count]
        return features

    return read
