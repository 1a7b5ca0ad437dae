"""Who is a copy of whom: files gathered to pictures, and pictures to their near copies.

Copies pixel for pixel are one picture, however many there are. Near copies are looked at directly and never in
chains: neighbouring slices of a scan may each be near the next, and the first is still not the last.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from cnnClassifier.audit.pairs import KINDS, CopyPair, Kind, clusters
from cnnClassifier.datasets.manifest import ImageRecord


@dataclass(frozen=True)
class Copies:
    """`pictures`: the files of each picture, in path order; `near`: for each picture the numbers of those near it."""

    pictures: list[list[ImageRecord]]
    near: list[set[int]]

    @property
    def sets(self) -> list[list[ImageRecord]]:
        """Exact copies: the pictures with several files."""
        return [files for files in self.pictures if len(files) > 1]

    @property
    def near_pairs(self) -> list[tuple[list[ImageRecord], list[ImageRecord]]]:
        """Two pictures each, by their files."""
        return [
            (self.pictures[one], self.pictures[other])
            for one, others in enumerate(self.near)
            for other in sorted(others)
            if one < other
        ]


def gather_copies(records: Iterable[ImageRecord], pairs: Sequence[CopyPair], kinds: Collection[Kind] = KINDS) -> Copies:
    """Gather files to pictures; pairs with a file that is not among the records, or of other kinds, do not count."""
    by_path = {record.path: record for record in sorted(records, key=lambda record: record.path)}
    pairs = [pair for pair in pairs if pair.kind in kinds and pair.first in by_path and pair.second in by_path]
    first = {path: paths[0] for paths in clusters(pairs, "exact") for path in paths}
    pictures: dict[str, list[ImageRecord]] = {}
    for path, record in by_path.items():
        pictures.setdefault(first.get(path, path), []).append(record)
    number = {record.path: index for index, files in enumerate(pictures.values()) for record in files}
    near: list[set[int]] = [set() for _ in pictures]
    for pair in pairs:
        one, other = number[pair.first], number[pair.second]
        if one != other:
            near[one].add(other)
            near[other].add(one)
    return Copies(list(pictures.values()), near)


def find_conflicts(copies: Copies) -> list[list[ImageRecord]]:
    """Sets of files that show one picture under several labels: exact copies first, then near ones.

    A near copy under another label is a conflict, too: at most one of the labels is right for that slice.
    """
    exact = [files for files in copies.sets if _labels(files) > 1]
    near = [one + other for one, other in copies.near_pairs if _labels(one) == _labels(other) == 1]
    return exact + [files for files in near if _labels(files) > 1]


def copies_of_training(
    records: Iterable[ImageRecord], pairs: Sequence[CopyPair], kinds: Collection[Kind] = KINDS
) -> set[str]:
    """Ids of the test images whose picture, or (with kind near) a near copy of it, also is in train or valid."""
    copies = gather_copies(records, pairs, kinds)
    return {
        record.id
        for number, files in enumerate(copies.pictures)
        if any(is_trainable(record) for record in reachable(copies, number))
        for record in files
        if not is_trainable(record)
    }


def reachable(copies: Copies, number: int) -> Iterator[ImageRecord]:
    """The files of a picture and of those near it."""
    yield from copies.pictures[number]
    for other in sorted(copies.near[number]):
        yield from copies.pictures[other]


def is_trainable(record: ImageRecord) -> bool:
    """Whether training may see an image; what is in test it may not."""
    return record.split != "test"


def _labels(files: Iterable[ImageRecord]) -> int:
    return len({record.label for record in files})
