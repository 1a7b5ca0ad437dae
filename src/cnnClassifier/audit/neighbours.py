"""Nearest neighbours among many vectors, through faiss: exact where that is quick, by an inverted file beyond."""

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

EXACT_UP_TO = 20_000  # vectors: seconds on two cores
LISTS_PER_ROOT = 4  # inverted lists for each root of n, as faiss' guidelines have it
PROBED = 24  # lists looked into for a query; misses 1 % of the true neighbours (benchmarks/near_copies.py)
TRAINED_ON = 64  # vectors a list at most
SEED = 1234


def nearest(reference: NDArray[np.float32], queries: NDArray[np.float32], k: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """The k nearest of `reference` (n, d) to each of `queries` (m, d), unit vectors both: rows and cosines, (m, k).

    Where there are fewer than k the rows are -1. The same vectors give the same answer on any number of threads.
    """
    index = _exact(reference) if len(reference) <= EXACT_UP_TO else _inverted_file(reference)
    cosines, rows = index.search(queries, min(k, len(reference)))
    return rows, cosines


def nearest_hashes(hashes: NDArray[np.uint8], k: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """The k nearest of each perceptual hash (n, bytes) among all of them: rows and differing bits, (n, k)."""
    bits = hashes.shape[1] * 8
    if len(hashes) <= EXACT_UP_TO:
        index: Any = faiss.IndexBinaryFlat(bits)
    else:
        index = faiss.IndexBinaryIVF(faiss.IndexBinaryFlat(bits), bits, _lists(len(hashes)))
        index.own_fields = False
        index.nprobe = PROBED
        index.train(hashes)
    index.add(hashes)
    distances, rows = index.search(hashes, min(k, len(hashes)))
    return rows, distances


def _exact(reference: NDArray[np.float32]) -> Any:
    index = faiss.IndexFlatIP(reference.shape[1])
    index.add(reference)
    return index


def _inverted_file(reference: NDArray[np.float32]) -> Any:
    index = faiss.index_factory(reference.shape[1], f"IVF{_lists(len(reference))},Flat", faiss.METRIC_INNER_PRODUCT)
    index.cp.seed = SEED
    index.cp.max_points_per_centroid = TRAINED_ON
    index.train(reference)
    index.add(reference)
    index.nprobe = PROBED
    return index


def _lists(count: int) -> int:
    return int(LISTS_PER_ROOT * np.sqrt(count))
