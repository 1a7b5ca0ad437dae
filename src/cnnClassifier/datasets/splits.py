"""Draw splits where a source has none: by group, stratified by class, independent of listing order."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from cnnClassifier.config.data import RandomSplit, Split
from cnnClassifier.datasets.manifest import ImageRecord


def deal_splits(records: Sequence[ImageRecord], shares: RandomSplit, seed: int) -> list[ImageRecord]:
    """The records with a split drawn by their groups; every class has some of each split if it has three groups."""
    images = [(record.group, record.label) for record in records]
    splits = _fill_gaps(assign_splits(images, shares, seed), images, shares)
    return [replace(record, split=splits[record.group]) for record in records]


def assign_splits(images: Iterable[tuple[str, str]], shares: RandomSplit, seed: int) -> dict[str, Split]:
    """Give each group of (group, label) pairs one split, so that each class comes near the shares.

    A group with several labels counts as its most frequent one. Groups are drawn in the order of a
    seeded hash of their names, so adding an image moves few others.
    """
    return {group: split for sizes in _sizes_by_class(images).values() for group, split in _deal(sizes, shares, seed)}


def _sizes_by_class(images: Iterable[tuple[str, str]]) -> Mapping[str, dict[str, int]]:
    """For each class the images of each of its groups."""
    labels: Mapping[str, Counter[str]] = defaultdict(Counter)
    for group, label in images:
        labels[group][label] += 1
    by_class: Mapping[str, dict[str, int]] = defaultdict(dict)
    for group, counts in labels.items():
        majority = min(counts, key=lambda label: (-counts[label], label))
        by_class[majority][group] = counts.total()
    return by_class


def _fill_gaps(splits: Mapping[str, Split], images: Iterable[tuple[str, str]], shares: RandomSplit) -> dict[str, Split]:
    """The splits, with a class's smallest group that can be spared moved to one that the class has nothing of.

    One large group on the shares' ruler can push all others of its class past a split.
    """
    filled = dict(splits)
    wanted: tuple[Split, ...] = ("train", "test", "valid") if shares.valid else ("train", "test")
    for sizes in _sizes_by_class(images).values():
        for split in wanted:
            counts = Counter(filled[group] for group in sizes)
            spare = sorted((size, group) for group, size in sizes.items() if counts[filled[group]] > 1)
            if not counts[split] and spare:
                filled[spare[0][1]] = split
    return filled


def _deal(sizes: Mapping[str, int], shares: RandomSplit, seed: int) -> list[tuple[str, Split]]:
    """Walk the groups in seeded order; a group goes where the middle of its images falls on the shares' ruler."""
    total = sum(sizes.values())
    dealt: list[tuple[str, Split]] = []
    position = 0
    for group in sorted(sizes, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest()):
        middle = (position + sizes[group] / 2) / total
        position += sizes[group]
        dealt.append((group, _split_at(middle, shares)))
    return dealt


def _split_at(position: float, shares: RandomSplit) -> Split:
    if position < shares.test:
        return "test"
    return "valid" if position < shares.test + shares.valid else "train"
