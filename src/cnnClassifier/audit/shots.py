"""Which pictures show a finding: few enough to look at, and spread over the whole of it. No pixels here."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from cnnClassifier.audit.pairs import CopyPair
from cnnClassifier.datasets.manifest import ImageRecord

PICTURES = 24  # a finding: enough to believe it, few enough to look at
SAMPLES = 6  # pictures of a group, or of a class that is given away
GALLERIES = 3

ItemT = TypeVar("ItemT")


@dataclass(frozen=True)
class Shot:
    """Pictures that belong together, by path, and the line over them."""

    paths: tuple[str, ...]
    caption: str = ""


def galleries(records: Iterable[ImageRecord]) -> list[Shot]:
    """The largest groups, some pictures of each."""
    members: dict[str, list[str]] = {}
    for record in records:
        members.setdefault(record.group, []).append(record.path)
    largest = sorted(members.values(), key=lambda paths: (-len(paths), paths[0]))[:GALLERIES]
    return [Shot(tuple(spread(paths, SAMPLES)), f"{len(paths)} images") for paths in largest if len(paths) > 1]


def spread(items: Sequence[ItemT], most: int) -> list[ItemT]:
    """At most `most` (2 or more) items, evenly from the first to the last."""
    if len(items) <= most:
        return list(items)
    return [items[round(index * (len(items) - 1) / (most - 1))] for index in range(most)]


def by_likeness(audit: Mapping[str, Any], pairs: Iterable[CopyPair]) -> list[CopyPair]:
    """The most alike first; of pairs that show the same two pictures, as exact copies do, one."""
    first = {path: paths[0] for paths in audit["files"]["exact_copies"] for path in paths}
    shown: dict[frozenset[str], CopyPair] = {}
    for pair in sorted(pairs, key=lambda pair: (-pair.correlation, pair)):
        shown.setdefault(frozenset(first.get(path, path) for path in (pair.first, pair.second)), pair)
    return list(shown.values())


def pair_shots(pairs: Sequence[CopyPair], most: int) -> list[Shot]:
    """Both pictures of at most `most` pairs, with their correlation over them."""
    return [Shot((pair.first, pair.second), f"correlation {pair.correlation:.3f}") for pair in spread(pairs, most)]


def contrasts(labels: Sequence[str], records: Sequence[ImageRecord]) -> list[Shot]:
    """Pictures of the classes that are given away beside pictures of the others."""
    sides = [(label, [record.path for record in records if record.label == label]) for label in labels]
    if labels:
        sides.append(("all others", [record.path for record in records if record.label not in labels]))
    return [Shot(tuple(spread(paths, SAMPLES)), label) for label, paths in sides[-GALLERIES:] if paths]
