"""Audit a folder of images as it lies there: no configuration, nothing copied, nothing changed."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from cnnClassifier.audit.examine import examine
from cnnClassifier.audit.findings import Findings
from cnnClassifier.audit.pairs import write_pairs
from cnnClassifier.audit.report import write_report
from cnnClassifier.audit.summary import summarise
from cnnClassifier.config.data import DataAuditConfig, Split
from cnnClassifier.datasets.candidates import (
    LEADS_OUT,
    NO_CLASS,
    Candidate,
    Listing,
    class_folder,
    in_path_order,
    refuse_name,
)
from cnnClassifier.datasets.folders import walk_files
from cnnClassifier.datasets.ingest import describe_readable
from cnnClassifier.datasets.manifest import RejectedFile
from cnnClassifier.destinations import Earlier, check_new_folder
from cnnClassifier.errors import DataError
from cnnClassifier.files import in_utf8, new_folder, write_json

SPLIT_NAMES: Mapping[str, Split] = {
    "train": "train", "training": "train",
    "valid": "valid", "val": "valid", "validation": "valid",
    "test": "test", "testing": "test",
}  # fmt: skip
ONLY_CLASS = "images"  # where there are no class folders
REPORT, SUMMARY, PAIRS = "audit.html", "audit.json", "pairs.csv"
EARLIER = Earlier("an earlier audit", always=(REPORT, SUMMARY, PAIRS))


def audit_folder(folder: Path, out: Path, config: DataAuditConfig) -> tuple[dict[str, Any], Findings]:
    """Audit all images below a folder and write audit.html, audit.json and pairs.csv into `out`; also return it.

    Raises DataError for a folder without images, ConfigError for an `out` that lies in the folder, where the report's
    own pictures would be the next audit's, or where something else than an earlier audit would be lost.
    """
    check_new_folder(out, EARLIER, read=folder)
    with new_folder(out) as new:
        found = look_through(folder, new / "scratch", config)
        audit = summarise(found)
        write_json(audit, new / SUMMARY)
        write_pairs(found.pairs, new / PAIRS)
        write_report(audit, found.records, found.pairs, folder, new / REPORT, title=f"Audit of {in_utf8(str(folder))}")
    return audit, found


def look_through(folder: Path, scratch: Path, config: DataAuditConfig) -> Findings:
    """All that is found in a folder; DataError if it has no readable image."""
    candidates, misnamed = list_images(folder)
    records, unreadable = describe_readable(candidates)
    rejected = sorted([*misnamed, *unreadable], key=lambda item: item.path)
    if not records:
        first = f", the first: {rejected[0].path}: {rejected[0].reason}" if rejected else ""
        raise DataError(f"{folder}: no image that can be read; files: {len(rejected)}{first}")
    split = any(candidate.split for candidate in candidates)
    found, _ = examine(records, folder, scratch, config, rejected, published=split, applied=False)
    return found


def list_images(folder: Path) -> Listing:
    """The files below a folder with what their places say: split, where a folder above is called so, and class.

    Classes are those of `data_ingestion`: the first folder below the root or the split. Where splits lie below the
    classes and hold images only, the folder above them is the class. Where there is none at all, all images are of
    one class. Raises DataError for a tree in which the class may be the folder above the splits or the one below.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; `python main.py audit <folder>` wants one with images in it")
    links: list[str] = []
    places = {path: _place(path) for path in walk_files(folder, left_out=links)}
    classes = _classes_below_splits(places.values())
    _check_order(folder, classes)
    shared = _shared_steps(places.values())
    candidates, refused = in_path_order(
        refuse_name(path) or Candidate(folder / path, path, _label(place, classes, shared), place.split, None)
        for path, place in places.items()
    )
    refused += [refuse_name(path) or RejectedFile(path, LEADS_OUT) for path in links]
    if any(item.label for item in candidates):
        refused += [RejectedFile(item.path, NO_CLASS) for item in candidates if not item.label]
        candidates = [item for item in candidates if item.label]
    names = join_class_names((item.split, item.label) for item in candidates)
    return [replace(item, label=names[item.label] or ONLY_CLASS) for item in candidates], refused


def join_class_names(found: Iterable[tuple[Split | None, str]]) -> dict[str, str]:
    """For each class name the one it stands for: mostly itself.

    Some sources say more in one split than in another ("x" and "x_of_site_2"): such a name stands for
    the longest other one that it begins with, unless a split has both and so tells them apart.
    """
    splits = defaultdict(set)
    for split, name in found:
        splits[name].add(split)
    return {name: _plain_name(name, splits) for name in splits}


def _plain_name(name: str, splits: Mapping[str, set[Split | None]]) -> str:
    plainer = [
        other
        for other in splits
        if re.match(rf"{re.escape(other)}[^0-9A-Za-z]", name) and not splits[other] & splits[name]
    ]
    return max(plainer, key=len, default=name)


@dataclass(frozen=True)
class _Place:
    """A path cut at the folder that tells the split: the folders above and the path below; uncut where none does."""

    above: str
    split: Split | None
    below: str


def _place(path: str) -> _Place:
    steps = path.split("/")
    depth = next((depth for depth, name in enumerate(steps[:-1]) if name.lower() in SPLIT_NAMES), None)
    if depth is None:
        return _Place("", None, path)
    return _Place("/".join(steps[:depth]), SPLIT_NAMES[steps[depth].lower()], "/".join(steps[depth + 1 :]))


def _classes_below_splits(places: Iterable[_Place]) -> dict[str, set[str]]:
    """For what stands above split folders the folders in them, where there are any."""
    classes = defaultdict(set)
    for place in places:
        if place.split and (label := class_folder(place.below)):
            classes[place.above].add(label)
    return dict(classes)


def _label(place: _Place, classes: Mapping[str, set[str]], shared: int) -> str:
    """The folder below the split; where its splits hold images only the first above it that not all have in common;
    "" where there is neither.
    """
    above = place.above.split("/")[shared] if place.above and place.above not in classes else ""
    return class_folder(place.below) or above


def _shared_steps(places: Iterable[_Place]) -> int:
    """How many folders all classes above splits lie in; none where images lie beside split folders, too."""
    if any(not place.split for place in places):
        return 0
    lines = zip(*(place.above.split("/")[:-1] for place in places if place.above), strict=False)
    return sum(1 for _ in takewhile(lambda steps: len(set(steps)) == 1, lines))


def _check_order(folder: Path, classes: Mapping[str, set[str]]) -> None:
    """Raise DataError where splits stand in several folders and have no folder in common: those may be patients'."""
    parts = {above: labels for above, labels in classes.items() if above}
    if len(parts) > 1 and len(set().union(*parts.values())) == sum(map(len, parts.values())):
        (one, below), (other, _), *_ = sorted(parts.items())
        raise DataError(
            f"{folder}: is the class the folder above the splits ({one!r}, {other!r}) or the one below "
            f"({min(below)!r})? Put class folders directly below split folders, as in train/polyp/patient 7/1.png"
        )
