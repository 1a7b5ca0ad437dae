"""Whether training gets only what the policy allows. Asked after the findings are written, so that they can be read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cnnClassifier.audit.copies import Copies, find_conflicts, is_trainable, reachable
from cnnClassifier.audit.findings import Findings
from cnnClassifier.datasets.manifest import ImageRecord
from cnnClassifier.errors import DataError


@dataclass(frozen=True)
class Left:
    """How many images that training gets are also in test, near one of test, disputed, or no scans."""

    copies: int
    near_copies: int
    conflicts: int
    masks: int


WORDS = {
    "copies": ("is also in test", "are also in test"),
    "near_copies": ("is a near copy of a test image", "are near copies of test images"),
    "conflicts": ("is there under several labels", "are there under several labels"),
    "masks": ("is a mask or a blank picture", "are masks or blank pictures"),
}


def describe_policy(found: Findings) -> dict[str, Any]:
    """The policy's part of audit.json: {satisfied, broken: [sentences], applied, left_in_training: {name: images}}.

    A copy of a test image in training always breaks it; what else is left breaks it unless the configuration says to
    keep it, and is counted all the same.
    """
    left = count_left(found)
    broken = [*_broken(left, found), *(words for words, _ in _forbidden(found))]
    return {"satisfied": not broken, "broken": broken, "applied": found.applied, "left_in_training": vars(left)}


def check_policy(found: Findings) -> None:
    """Raise DataError for the first finding that the configuration does not put up with ("fail")."""
    for words, paths in _forbidden(found):
        raise DataError(f"{words}, the first: {', '.join(paths)}; remove them, or set it to `drop` or `keep`")


def count_left(found: Findings) -> Left:
    """Count what the policy is about among the images that training gets."""
    copies = found.copies
    given = {record.path for record in (found.kept.records if found.applied else found.records) if is_trainable(record)}
    tested = [any(not is_trainable(record) for record in files) for files in copies.pictures]
    near = [
        not tested[number] and any(not is_trainable(record) for record in reachable(copies, number))
        for number in range(len(copies.pictures))
    ]
    disputed = {record.path for files in find_conflicts(copies) for record in files}
    return Left(
        copies=_count(copies, tested, given),
        near_copies=_count(copies, near, given),
        conflicts=len(disputed & given),
        masks=len({suspect.path for suspect in found.suspects} & given),
    )


def _count(copies: Copies, chosen: Sequence[bool], given: set[str]) -> int:
    """How many files of the chosen pictures training gets."""
    return sum(
        record.path in given for files, is_in in zip(copies.pictures, chosen, strict=True) if is_in for record in files
    )


def _broken(left: Left, found: Findings) -> Iterator[str]:
    for name, count in vars(left).items():
        action = getattr(found.config, name)
        if count and (action != "keep" or name == "copies"):
            images, words, them = ("image", WORDS[name][0], "it") if count == 1 else ("images", WORDS[name][1], "them")
            kept = f"; data_audit.{name} keeps {them}" if action == "keep" else ""
            yield f"{count} training {images} {words}{kept}"


def _forbidden(found: Findings) -> Iterator[tuple[str, list[str]]]:
    """What is there although the configuration says to fail for it, in words, and the first case's files."""
    for name, sets in _cases(found).items():
        if getattr(found.config, name) == "fail" and sets:
            yield f"`data_audit.{name}` is `fail`, and there are some; found: {len(sets)}", sets[0]


def _cases(found: Findings) -> dict[str, list[list[str]]]:
    copies = found.copies
    return {
        "copies": [_paths(files) for files in copies.sets],
        "near_copies": [[one[0].path, other[0].path] for one, other in copies.near_pairs],
        "conflicts": [_paths(files) for files in find_conflicts(copies)],
        "masks": [[suspect.path] for suspect in found.suspects],
    }


def _paths(files: Sequence[ImageRecord]) -> list[str]:
    return [record.path for record in files]
