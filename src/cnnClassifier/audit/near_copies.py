"""Which images are of one patient, and which are one picture saved twice: neighbours proposed, then aligned."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnnClassifier.audit.alignment import detail_correlation
from cnnClassifier.audit.descriptor import Sketches, compact
from cnnClassifier.audit.neighbours import nearest, nearest_hashes
from cnnClassifier.batching import map_in_threads

NEIGHBOURS = 16  # of the body-cropped picture; the others find what a wrong body crop hides
MIRRORED_NEIGHBOURS, FRAME_NEIGHBOURS, HASH_NEIGHBOURS = 4, 6, 4
LEAST_COSINE = 0.1  # of descriptors: one patient's pictures below it were 1 in 200
MOST_DIFFERING_BITS = 8  # of 64
RELATED = 0.5  # detail correlation from which a pair is kept: no threshold for one patient lies below


@dataclass(frozen=True)
class Match:
    """Two images, by row (first < second), and the correlation of their detail once aligned (and mirrored)."""

    first: int
    second: int
    correlation: float
    mirrored: bool = False


def find_matches(sketches: Sketches, hashes: NDArray[np.uint8]) -> list[Match]:
    """All pairs that look related, in order of their rows; `hashes` are perceptual ones, (n, 8) bytes."""
    pictures = sketches.pictures
    pairs = propose(sketches, hashes)

    def align(pair: tuple[int, int, bool]) -> Match:
        first, second, mirrored = pair
        other = pictures[second][:, ::-1] if mirrored else pictures[second]
        return Match(first, second, detail_correlation(pictures[first], other), mirrored)

    return [match for match in map_in_threads(align, pairs, "align", "pair") if match.correlation >= RELATED]


def propose(sketches: Sketches, hashes: NDArray[np.uint8]) -> list[tuple[int, int, bool]]:
    """Pairs worth aligning: (first, second, mirrored), rows in order, each once."""
    if len(hashes) < 2:
        return []
    body, mirrored = compact(sketches.body, sketches.mirrored)
    (frame,) = compact(sketches.frame)
    proposed = {
        *_pairs(*nearest(body, body, NEIGHBOURS + 1), LEAST_COSINE, False),
        *_pairs(*nearest(frame, frame, FRAME_NEIGHBOURS + 1), LEAST_COSINE, False),
        *_pairs(*nearest(body, mirrored, MIRRORED_NEIGHBOURS), LEAST_COSINE, True),
    }
    rows, bits = nearest_hashes(hashes, HASH_NEIGHBOURS + 1)
    return sorted({*proposed, *_pairs(rows, -bits, -MOST_DIFFERING_BITS, False)})


def _pairs(
    rows: NDArray[np.int64], similarity: NDArray[np.float32], least: float, mirrored: bool
) -> Iterator[tuple[int, int, bool]]:
    """The pairs of a table of neighbours (n, k) that are similar enough, the image itself left out."""
    queries, places = np.nonzero((similarity >= least) & (rows >= 0))
    for one, other in zip(queries.tolist(), rows[queries, places].tolist(), strict=True):
        if one != other:
            yield min(one, other), max(one, other), mirrored
