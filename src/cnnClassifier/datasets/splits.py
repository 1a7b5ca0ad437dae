"""Draw splits where a source has none: by group, stratified by class, independent of listing order."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from cnnClassifier.config.data import RandomSplit, Split
from cnnClassifier.datasets.manifest import ImageRecord


def deal_splits(records: Sequence[ImageRecord], shares: RandomSplit, seed: int) -> list[ImageRecord]:
    """The records with a split drawn by their groups."""
    splits = assign_splits(((record.group, record.label) for record in records), shares, seed)
    return [replace(record, split=splits[record.group]) for record in records]


def assign_splits(images: Iterable[tuple[str, str]], shares: RandomSplit, seed: int) -> dict[str, Split]:
    """Give each group of (group, label) pairs one split, so that each class comes near the shares.

    A group with several labels counts as its most frequent one. Groups are drawn in the order of a
    seeded hash of their names, so adding an image moves few others.
    """
    labels: Mapping[str, Counter[str]] = defaultdict(Counter)
    for group, label in images:
        labels[group][label] += 1
    by_class: Mapping[str, list[str]] = defaultdict(list)
    for group, counts in labels.items():
        majority = min(counts, key=lambda label: (-counts[label], label))
        by_class[majority].append(group)
    return {
        group: split
        for groups in by_class.values()
        for group, split in _deal(groups, {g: labels[g].total() for g in groups}, shares, seed)
    }


def _deal(groups: list[str], sizes: Mapping[str, int], shares: RandomSplit, seed: int) -> list[tuple[str, Split]]:
    """Walk the groups in seeded order; a group goes where the middle of its images falls on the shares' ruler."""
    total = sum(sizes.values())
    dealt: list[tuple[str, Split]] = []
    position = 0
    for group in sorted(groups, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest()):
        middle = (position + sizes[group] / 2) / total
        position += sizes[group]
        dealt.append((group, _split_at(middle, shares)))
    return dealt


def _split_at(position: float, shares: RandomSplit) -> Split:
    if position < shares.test:
        return "test"
    return "valid" if position < shares.test + shares.valid else "train"
