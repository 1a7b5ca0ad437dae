"""Files with one picture, pixel for pixel, whatever their names, formats and modes."""

from collections import defaultdict
from collections.abc import Iterable

from cnnClassifier.audit.pairs import CopyPair, pair_up
from cnnClassifier.datasets.manifest import ImageRecord


def find_exact_copies(records: Iterable[ImageRecord]) -> list[CopyPair]:
    """Pairs of equal decoded pixels, in path order.

    A set of n copies is n - 1 pairs, the first path with each other one: `pairs.clusters` gives the set back, and a
    hundred thousand copies of one blank picture stay a hundred thousand rows.
    """
    same = _sets(records, "pixel_hash")
    return sorted(pair_up("exact", paths[0], other) for paths in same for other in paths[1:])


def count_same_bytes(records: Iterable[ImageRecord]) -> int:
    """How many files could be deleted because another has the same bytes."""
    return sum(len(paths) - 1 for paths in _sets(records, "sha256"))


def _sets(records: Iterable[ImageRecord], field: str) -> list[list[str]]:
    same = defaultdict(list)
    for record in records:
        same[getattr(record, field)].append(record.path)
    return [sorted(paths) for paths in same.values()]
