"""Draw splits where there are none: by group, stratified by class, independent of listing order."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from cnnClassifier.config.data import RandomSplit, Split
from cnnClassifier.datasets.manifest import ImageRecord
from cnnClassifier.errors import DataError


def deal_splits(records: Sequence[ImageRecord], shares: RandomSplit, seed: int) -> list[ImageRecord]:
    """The records with a split drawn by their groups; every class has some of each split if it has three groups."""
    images = [(record.group, record.label) for record in records]
    wanted: tuple[Split, ...] = ("train", "test", "valid") if shares.valid else ("train", "test")
    splits = _fill_all_gaps(assign_splits(images, shares, seed), images, wanted)
    return [replace(record, split=splits[record.group]) for record in records]


def hold_out(records: Sequence[ImageRecord], share: float, seed: int) -> tuple[list[ImageRecord], list[ImageRecord]]:
    """Two lists without a common group: to fit on, and about `share` of each class for early stopping.

    Raises DataError when a class has too few groups to hold one out and keep one.
    """
    images = [(record.group, record.label) for record in records]
    drawn = assign_splits(images, RandomSplit(valid=share, test=0.0), seed)
    splits = _fill_all_gaps(drawn, images, ("train", "valid"))
    fitted = [record for record in records if splits[record.group] == "train"]
    held_out = [record for record in records if splits[record.group] == "valid"]
    on_both_sides = {record.label for record in fitted} & {record.label for record in held_out}
    for label in sorted({label for _, label in images} - on_both_sides):
        groups = len({record.group for record in records if record.label == label})
        raise DataError(
            f"training.validation: no group of class {label!r} is left to fit on or to stop early by (it has "
            f"{groups}, the share held out is {share}); bring images of more patients or scans"
        )
    return fitted, held_out


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


def _fill_gaps(
    splits: Mapping[str, Split], images: Iterable[tuple[str, str]], wanted: Sequence[Split]
) -> dict[str, Split]:
    """The splits, with a class's smallest group that can be spared moved to a wanted one that it has nothing of.

    One large group on the shares' ruler can push all others of its class past a split.
    """
    filled = dict(splits)
    for sizes in _sizes_by_class(images).values():
        for split in wanted:
            counts = Counter(filled[group] for group in sizes)
            spare = sorted((size, group) for group, size in sizes.items() if counts[filled[group]] > 1)
            if not counts[split] and spare:
                filled[spare[0][1]] = split
    return filled


def _fill_all_gaps(
    splits: Mapping[str, Split], images: Sequence[tuple[str, str]], wanted: Sequence[Split]
) -> dict[str, Split]:
    """`_fill_gaps`, and then the same for every class that a group has anything of, not only for its most frequent one.

    In this order, so that a deal without gaps stays what it was. A gap stays where no group can be spared.
    """
    filled = _fill_gaps(splits, images, wanted)
    labels: Mapping[str, set[str]] = defaultdict(set)
    for group, label in images:
        labels[group].add(label)
    sizes = Counter(group for group, _ in images)
    while move := _find_move(filled, labels, sizes, wanted):
        filled.update([move])
    return filled


def _find_move(
    splits: Mapping[str, Split], labels: Mapping[str, set[str]], sizes: Mapping[str, int], wanted: Sequence[Split]
) -> tuple[str, Split] | None:
    """The smallest group that fills a class's gap and leaves none where it was, and the split to move it to."""
    counts = Counter((label, splits[group]) for group, those in labels.items() for label in those)
    gaps = ((label, split) for label in sorted(set().union(*labels.values())) for split in wanted)
    for label, split in gaps:
        if counts[label, split]:
            continue
        spare = [
            (sizes[group], group)
            for group, those in labels.items()
            if label in those and all(counts[each, splits[group]] > 1 for each in those)
        ]
        if spare:
            return min(spare)[1], split
    return None


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
