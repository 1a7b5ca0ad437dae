"""How classes are spread over the splits, and in what else than class the splits differ."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2_contingency, ks_2samp

from cnnClassifier.audit.facts import Facts
from cnnClassifier.config.data import SPLITS
from cnnClassifier.datasets.manifest import ImageRecord
from cnnClassifier.metrics.holm import holm

LARGE_EFFECT = 0.2  # Kolmogorov-Smirnov distance, or Cramer's V, below which a difference is not worth a line
SIGNIFICANCE = 0.05  # after Holm's correction over everything compared
FEWEST_GROUPS = 5  # in each of two splits; fewer cannot be told from chance

KINDS_OF = {"label": "class", "format": "file format", "mode": "colour mode"}
AMOUNTS = {
    "file.width": ("width", ["pixels"]),
    "file.height": ("height", ["pixels"]),
    "file.aspect": ("width by height", []),
    "file.bits_per_pixel": ("file size for its pixels", ["bits a pixel"]),
    "picture.brightness": ("mean grey level", []),
    "picture.contrast": ("contrast (standard deviation)", ["grey levels"]),
}


@dataclass(frozen=True)
class Difference:
    """Something in which two splits differ: effect (0-1), the p-value after Holm's correction, and it in words."""

    fact: str
    splits: tuple[str, str]
    effect: float
    p_value: float
    words: str


def count_by_split(records: Iterable[ImageRecord]) -> dict[str, int]:
    """Images in each split, empty ones too."""
    counts = Counter(record.split for record in records)
    return {split: counts[split] for split in SPLITS}


def count_classes(records: Iterable[ImageRecord]) -> dict[str, dict[str, int]]:
    """Images of each class in each split; a class without any counts 0."""
    counts = Counter((record.split, record.label) for record in records)
    labels = sorted({label for _, label in counts})
    return {split: {label: counts[split, label] for label in labels} for split in SPLITS}


def imbalance(counts: dict[str, int]) -> float | None:
    """How many images the largest class has for each one of the smallest; None when a class has none."""
    return round(max(counts.values()) / min(counts.values()), 2) if counts and min(counts.values()) else None


def compare_splits(records: Sequence[ImageRecord], facts: Facts) -> list[Difference]:
    """Large differences between any two splits, the largest first; `facts` in the records' order.

    One value a group (a mean, or the commonest kind), so that a patient with many slices counts once. Amounts are
    compared by the Kolmogorov-Smirnov distance, kinds by chi-square and Cramer's V; p-values corrected as in Holm 1979.
    """
    members: dict[str, list[list[int]]] = {split: [] for split in SPLITS}
    by_group = defaultdict(list)
    for row, record in enumerate(records):
        by_group[record.split, record.group].append(row)
    for (split, _), rows in by_group.items():
        members[split].append(rows)
    compared = [
        difference
        for one, other in combinations([split for split in SPLITS if len(members[split]) >= FEWEST_GROUPS], 2)
        for difference in _compare(records, facts, (one, members[one]), (other, members[other]))
    ]
    corrected = holm([item.p_value for item in compared])
    large = [
        Difference(item.fact, item.splits, item.effect, p, item.words)
        for item, p in zip(compared, corrected, strict=True)
        if item.effect >= LARGE_EFFECT and p < SIGNIFICANCE
    ]
    return sorted(large, key=lambda item: (-item.effect, item.fact, item.splits))


Side = tuple[str, list[list[int]]]


def _compare(records: Sequence[ImageRecord], facts: Facts, one: Side, other: Side) -> Iterable[Difference]:
    for field, name in KINDS_OF.items():
        values = [[_commonest(records, field, rows) for rows in members] for _, members in (one, other)]
        yield _compare_kinds(name, (one[0], other[0]), *values)
    for fact, (name, unit) in AMOUNTS.items():
        column = facts.fact(fact)
        # In double precision, or equal slices would give means that differ by their number.
        means = [
            np.array([column[rows].mean(dtype=float) for rows in members], np.float32) for _, members in (one, other)
        ]
        yield _compare_amounts(name, unit, (one[0], other[0]), *means)


def _commonest(records: Sequence[ImageRecord], field: str, rows: Iterable[int]) -> str:
    counts = Counter(getattr(records[row], field) for row in rows)
    return str(min(counts, key=lambda kind: (-counts[kind], kind)))


def _compare_kinds(name: str, splits: tuple[str, str], one: list[str], other: list[str]) -> Difference:
    kinds = sorted({*one, *other})
    table = np.array([[side.count(kind) for kind in kinds] for side in (one, other)])
    if len(kinds) == 1:
        return Difference(name, splits, 0.0, 1.0, "")
    test = chi2_contingency(table, correction=False)
    shares = table / table.sum(axis=1, keepdims=True)
    widest = int(np.abs(shares[0] - shares[1]).argmax())
    percent = [f"{share:.0%} of {split}" for share, split in zip(shares[:, widest], splits, strict=True)]
    words = f"{name}: {kinds[widest]} is {' and '.join(percent)}"
    return Difference(name, splits, float(np.sqrt(test.statistic / table.sum())), float(test.pvalue), words)


def _compare_amounts(
    name: str, unit: Sequence[str], splits: tuple[str, str], one: NDArray[np.float32], other: NDArray[np.float32]
) -> Difference:
    test = ks_2samp(one, other)
    medians = [f"{np.median(values):.4g}" for values in (one, other)]
    words = f"{name}: median {' '.join([medians[0], *unit])} in {splits[0]}, {medians[1]} in {splits[1]}"
    return Difference(name, splits, float(test.statistic), float(test.pvalue), words)
