"""Which images are held out together: folds that no group is in twice, and the parts that each of them makes."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnnClassifier.datasets.manifest import ImageRecord
from cnnClassifier.errors import DataError

DEALS = 100  # tried until every class is in more than one fold


@dataclass(frozen=True)
class Folds:
    """Images, the fold of each (n,) from 0, and for how many epochs the model of the others is fitted."""

    records: Sequence[ImageRecord]
    fold: NDArray[np.int64]
    epochs: int

    @property
    def numbers(self) -> list[int]:
        """The folds there are."""
        return sorted(set(self.fold.tolist()))

    def parts(self, number: int) -> tuple[list[ImageRecord], list[ImageRecord]]:
        """What the model of a fold is fitted on, and what it predicts: all others, and the fold's own."""
        rest: list[ImageRecord] = []
        held_out: list[ImageRecord] = []
        for record, its_fold in zip(self.records, self.fold, strict=True):
            (held_out if its_fold == number else rest).append(record)
        return rest, held_out


def deal_folds(records: Sequence[ImageRecord], folds: int, seed: int) -> NDArray[np.int64]:
    """A fold for each record, (n,) from 0: no group in two folds, classes spread as evenly as the groups allow.

    A class of fewer groups than `folds` is missing from some folds, never from what is fitted on. Raises DataError
    for a class whose images are all of one group, or where no deal keeps every class in what is fitted on.
    """
    of_class = check_groups(records)
    folds = min(folds, max(map(len, of_class.values())))  # scikit-learn allows no more folds than groups
    labels = np.array([record.label for record in records])
    groups = [record.group for record in records]
    for attempt in range(DEALS):
        fold = _deal(labels, groups, folds, seed if attempt == 0 else _another(seed, attempt))
        if all(len(np.unique(fold[labels == label])) > 1 for label in of_class):
            return fold
    raise DataError(
        f"training.folds: in {DEALS} deals some class fell wholly into one of {folds} folds, so that nothing of it was "
        "left to fit on; its groups hold images of several classes. Raise training.folds, or bring more patients"
    )


def _deal(labels: NDArray[np.str_], groups: Sequence[str], folds: int, seed: int) -> NDArray[np.int64]:
    from sklearn.model_selection import StratifiedGroupKFold  # a second, which only dealing needs

    fold = np.empty(len(labels), np.int64)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for number, (_, members) in enumerate(splitter.split(labels, labels, groups)):
        fold[members] = number
    return fold


def _another(seed: int, attempt: int) -> int:
    """A seed far from those of neighbouring deals: sweeps count theirs up from `seed`."""
    return int(np.random.default_rng([seed, attempt]).integers(2**31))


def check_groups(records: Iterable[ImageRecord]) -> dict[str, set[str]]:
    """The groups of each class; DataError for one that has a single group: without it nothing is left to learn from."""
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for record in records:
        groups[record.label].add(record.group)
    if single := sorted(label for label, names in groups.items() if len(names) < 2):
        raise DataError(
            f"training.folds: all training images of {', '.join(single)} are of one patient or scan, so no part of "
            "them can be held out; bring images of others, or raise `data_audit.same_patient` if they are of others"
        )
    return groups
