"""One vector an image: what the frozen part sees of it, and what the head judges it by."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from cnnClassifier.batching import batches
from cnnClassifier.datasets.manifest import ImageRecord
from cnnClassifier.features.extraction import BATCH, FeatureExtractor, Forward
from cnnClassifier.features.network import CHUNK, PLAIN
from cnnClassifier.modeling import Cut, forward
from cnnClassifier.preprocessing import preprocess

GRIDS = (8, 4, 2, 1)  # cells a side that activations are summed over: the finest that keeps a vector this short
LONGEST = 4096

Floats = NDArray[np.float32]


def frozen_vectors(features: FeatureExtractor, records: Sequence[ImageRecord]) -> Floats:
    """What the trunk says of each image, which no training has touched: (n, at most LONGEST unless it is a vector)."""
    features.ensure(records, [PLAIN])
    return _stack(_shorten(features.read(chunk, PLAIN)) for chunk in batches(records, CHUNK))


def pooled_features(parts: Cut, features: FeatureExtractor, records: Sequence[ImageRecord]) -> Floats:
    """The vector that the head judges each image by, before it is standardised, (n, d)."""
    features.ensure(records, [PLAIN])
    pool = _to_pool(parts)
    return _stack(pool(features.read(chunk, PLAIN)) for chunk in batches(records, CHUNK))


def pooled_features_of_files(parts: Cut, features: FeatureExtractor, files: Iterable[bytes]) -> Floats:
    """The same vector for encoded images that are in no cache."""
    pool = _to_pool(parts)
    pixels = (preprocess(data, features.space.preprocessing) for data in files)
    return _stack(pool(features.forward(np.stack(batch))) for batch in batches(pixels, BATCH))


def _to_pool(parts: Cut) -> Forward:
    """What makes the pooled vector of a trunk's activations, where they are not that vector themselves."""
    return np.asarray if parts.is_whole_backbone else forward(parts.tail_up_to_pool)


def _shorten(activations: Floats) -> Floats:
    """Activations (n, height, width, channels) summed over cells and laid flat; vectors (n, d) as they are."""
    if activations.ndim == 2:
        return activations
    n, height, width, channels = activations.shape
    grid = next((g for g in GRIDS if g * g * channels <= LONGEST and g <= min(height, width)), 1)
    rows, columns = (np.linspace(0, side, grid + 1).astype(int)[:-1] for side in (height, width))
    sums = np.add.reduceat(np.add.reduceat(activations, rows, axis=1), columns, axis=2)
    return sums.reshape(n, -1)


def _stack(parts: Iterable[Floats]) -> Floats:
    stacked: Floats = np.concatenate(list(parts))
    return stacked
