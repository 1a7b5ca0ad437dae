"""Nearest neighbours: exact for few vectors, nearly so for many, and the same on every call."""

import numpy as np
import pytest

from cnnClassifier.audit.neighbours import EXACT_UP_TO, nearest, nearest_hashes

MANY, K = 25_000, 10


@pytest.fixture(scope="module")
def clustered():
    """Unit vectors in clusters of twenty, as slices of patients are."""
    draw = np.random.default_rng(0)
    centres = np.repeat(draw.normal(size=(MANY // 20, 32)), 20, axis=0)
    vectors = (centres + 0.4 * draw.normal(size=centres.shape)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def exactly(vectors, queries, k):
    return np.argsort(-(queries @ vectors.T), axis=1, kind="stable")[:, :k]


def test_few_vectors_are_searched_exactly(clustered):
    few = clustered[:300]
    rows, cosines = nearest(few, few[:50], K)
    assert np.array_equal(rows, exactly(few, few[:50], K))
    assert cosines[:, 0] == pytest.approx(1, abs=1e-5)
    assert (np.diff(cosines, axis=1) <= 0).all()


def test_of_many_vectors_nearly_all_true_neighbours_are_found(clustered):
    assert len(clustered) > EXACT_UP_TO
    queries = clustered[::50]
    rows, _ = nearest(clustered, queries, K)
    found = sum(len(set(one) & set(true)) for one, true in zip(rows, exactly(clustered, queries, K), strict=True))
    assert found >= 0.97 * len(queries) * K


def test_the_same_vectors_give_the_same_neighbours(clustered):
    one, other = (nearest(clustered, clustered[:200], K) for _ in range(2))
    assert np.array_equal(one[0], other[0])
    assert np.array_equal(one[1], other[1])


def test_there_are_never_more_neighbours_than_vectors(clustered):
    assert nearest(clustered[:3], clustered[:3], K)[0].shape == (3, 3)


@pytest.mark.parametrize("count", [500, MANY])
def test_a_hash_is_nearest_to_those_that_differ_in_few_bits(count):
    hashes = np.random.default_rng(1).integers(0, 256, (count, 8), dtype=np.uint8)
    hashes[1] = hashes[0] ^ np.array([1, 0, 0, 0, 0, 0, 0, 128], np.uint8)
    rows, bits = nearest_hashes(hashes, 2)
    assert set(rows[0]) == {0, 1}
    assert list(bits[0]) == [0, 2]
