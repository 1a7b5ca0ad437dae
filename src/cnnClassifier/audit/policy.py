"""What the audit keeps out of training. A published test split is never changed: it is what others report on."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from cnnClassifier.audit.copies import Copies, find_conflicts, gather_copies, is_trainable
from cnnClassifier.audit.pairs import CopyPair
from cnnClassifier.audit.suspects import Suspect
from cnnClassifier.config.data import DataAuditConfig
from cnnClassifier.datasets.manifest import Classes, ImageRecord
from cnnClassifier.errors import DataError

MASK, CONFLICT = "mask or blank picture", "one picture under several labels"
IN_TEST, NEAR_TEST = "copy of a test image", "near copy of a test image"
SPARE, NEAR_SPARE = "copy of another training image", "near copy of another training image"


@dataclass(frozen=True)
class Dropped:
    """A file kept out of training, why, and the file that is the reason ("" where it is the picture itself)."""

    path: str
    reason: str
    of: str = ""


@dataclass(frozen=True)
class Kept:
    """The rows the policy lets through, in the order they came in, and the files it does not, in path order."""

    records: list[ImageRecord]
    dropped: list[Dropped]


Rule = Callable[[Copies, Collection[str]], Iterator[Dropped]]


def apply_policy(
    records: Sequence[ImageRecord],
    pairs: Sequence[CopyPair],
    suspects: Sequence[Suspect],
    config: DataAuditConfig,
    drawn: bool = False,
) -> Kept:
    """Drop from train and valid what the policy says, each file for one reason: the first that holds.

    `drawn`: the test split is not the source's but ours, and nobody wants masks in it: they are dropped there, too.
    Conflicts count among exact and near copies alike. Of what the policy is to fail for nothing is dropped:
    `compliance.check_policy` fails.
    """
    copies = gather_copies(records, pairs)
    rules: list[tuple[str, Rule]] = [
        (config.masks, lambda *_: (Dropped(suspect.path, MASK) for suspect in suspects)),
        (config.conflicts, _conflicts),
        (config.copies, _in_test),
        (config.near_copies, _near_test),
        (config.copies, _redundant_copies),
        (config.near_copies, _redundant_near_copies),
    ]
    trainable = {record.path for record in records if is_trainable(record)}
    leaving = {MASK: {record.path for record in records}} if drawn else {}
    dropped: dict[str, Dropped] = {}
    for action, rule in rules:
        if action == "drop":
            for item in rule(copies, trainable - dropped.keys()):
                if item.path in leaving.get(item.reason, trainable):
                    dropped.setdefault(item.path, item)
    left = [record for record in records if record.path not in dropped]
    return Kept(left, sorted(dropped.values(), key=lambda item: item.path))


def check_trainable(records: Iterable[ImageRecord], kept: Iterable[ImageRecord]) -> None:
    """Raise DataError for a class of which the policy leaves nothing to train on."""
    left = {record.label for record in kept if is_trainable(record)}
    if lost := sorted({record.label for record in records} - left):
        raise DataError(
            f"the audit's policy leaves no training image of {', '.join(lost)}: all are masks, copies of test images "
            "or in conflict (audit.json lists them); bring other images or set `data_audit` to `keep`"
        )


def check_dealt(records: Iterable[ImageRecord], classes: Classes) -> None:
    """Raise DataError for a class that has no image in a split that was to be drawn."""
    there = {(record.label, record.split) for record in records}
    wanted = ["test", "valid"] if classes.drawn and classes.drawn.valid else ["test"]
    for label in classes.names:
        for split in wanted:
            if (label, split) not in there:
                raise DataError(
                    f"no group of class {label!r} fell into {split}: whole groups are drawn, and this class has few; "
                    "raise `data_ingestion.random_split`, take another seed, or bring images of more patients"
                )


def _conflicts(copies: Copies, _: Collection[str]) -> Iterator[Dropped]:
    for files in find_conflicts(copies):
        for record in files:
            other = next(item for item in files if item.label != record.label)
            yield Dropped(record.path, CONFLICT, other.path)


def _in_test(copies: Copies, _: Collection[str]) -> Iterator[Dropped]:
    for files in copies.sets:
        tested = [record.path for record in files if not is_trainable(record)]
        yield from (Dropped(record.path, IN_TEST, tested[0]) for record in files if tested)


def _near_test(copies: Copies, _: Collection[str]) -> Iterator[Dropped]:
    for files, others in _both_ways(copies):
        tested = [record.path for record in others if not is_trainable(record)]
        yield from (Dropped(record.path, NEAR_TEST, tested[0]) for record in files if tested)


def _redundant_copies(copies: Copies, left: Collection[str]) -> Iterator[Dropped]:
    for files in copies.sets:
        paths = [record.path for record in files if record.path in left]
        yield from (Dropped(path, SPARE, paths[0]) for path in paths[1:])


def _redundant_near_copies(copies: Copies, left: Collection[str]) -> Iterator[Dropped]:
    """Keep a picture unless one near it is already kept: nothing kept is near, nothing dropped is without its copy."""
    kept: dict[int, str] = {}
    for number, files in enumerate(copies.pictures):
        paths = [record.path for record in files if record.path in left]
        rival = next((kept[other] for other in sorted(copies.near[number]) if other in kept), None)
        if rival is not None:
            yield from (Dropped(path, NEAR_SPARE, rival) for path in paths)
        elif paths:
            kept[number] = paths[0]


def _both_ways(copies: Copies) -> Iterator[tuple[list[ImageRecord], list[ImageRecord]]]:
    for one, other in copies.near_pairs:
        yield from ((one, other), (other, one))
