"""Inspect and copy a source's files, and make of them manifest rows. Streamed: no image stays in memory."""

import hashlib
import logging
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from cnnClassifier.batching import map_in_threads
from cnnClassifier.config.data import RandomSplit, Split
from cnnClassifier.datasets.candidates import Candidate
from cnnClassifier.datasets.inspection import inspect_image
from cnnClassifier.datasets.manifest import ImageRecord, RejectedFile, group_of_picture
from cnnClassifier.datasets.splits import deal_splits
from cnnClassifier.errors import DataError, ImageError

Described = tuple[ImageRecord, int]  # an image, and how many frames its file has

log = logging.getLogger(__name__)

FAULTY_LISTING = "check its patterns in `data_ingestion.classes`, the splits, and the files left out (rejected.csv)"
TOO_FEW_GROUPS = (
    "splits are drawn by whole groups (patients or scans), and {groups} have images of it: "
    "bring images of more patients, or change `data_ingestion.random_split` or the seed"
)


def copy_readable(
    candidates: Sequence[Candidate], images: Path, workers: int | None = None
) -> tuple[list[ImageRecord], list[RejectedFile]]:
    """Copy each file that decodes whole into `images`; list the others with the reason."""
    return _describe_all(candidates, lambda candidate: _copy_one(candidate, images), workers)


def describe_readable(
    candidates: Sequence[Candidate], workers: int | None = None
) -> tuple[list[ImageRecord], list[RejectedFile]]:
    """Describe each file that decodes whole where it lies; list the others with the reason."""
    return _describe_all(candidates, _describe_one, workers)


def draw_missing_splits(records: Iterable[ImageRecord], shares: RandomSplit | None, seed: int) -> list[ImageRecord]:
    """Draw a split for every image by its group; without shares the source's own splits stand.

    A draft: once the audit knows which images are of one patient, it deals again (`audit.examine`).
    """
    records = list(records)
    return records if shares is None else deal_splits(records, shares, seed)


def check_classes(
    records: Sequence[ImageRecord], classes: Iterable[str], splits: Sequence[Split], drawn: bool = False
) -> None:
    """Raise DataError naming the first class that has no image in one of the splits, and why it may have none.

    `drawn`: the splits are, so that a class with images has too few groups.
    """
    counts = Counter((record.label, record.split) for record in records)
    for label in classes:
        for split in splits:
            if not counts[label, split]:
                groups = len({record.group for record in records if record.label == label})
                raise DataError(
                    f"class {label!r} has no readable image in split {split}; "
                    + (TOO_FEW_GROUPS.format(groups=groups) if drawn and groups else FAULTY_LISTING)
                )


def _describe_all(
    candidates: Sequence[Candidate], describe: Callable[[Candidate], Described | RejectedFile], workers: int | None
) -> tuple[list[ImageRecord], list[RejectedFile]]:
    records: list[ImageRecord] = []
    rejected: list[RejectedFile] = []
    cut: list[str] = []
    for outcome in map_in_threads(describe, candidates, "read", workers=workers):
        if isinstance(outcome, RejectedFile):
            rejected.append(outcome)
            continue
        record, frames = outcome
        records.append(record)
        if frames > 1:
            cut.append(record.path)
    if cut:
        log.warning("%d DICOM files have several frames, such as %r: of each, only the first is used", len(cut), cut[0])
    return records, rejected


def _copy_one(candidate: Candidate, images: Path) -> Described | RejectedFile:
    described = _describe_one(candidate)
    if not isinstance(described, RejectedFile):
        destination = images / candidate.path
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(candidate.file, destination)
    return described


def _describe_one(candidate: Candidate) -> Described | RejectedFile:
    try:
        facts = asdict(inspect_image(candidate.file))
    except ImageError as error:
        return RejectedFile(candidate.path, str(error))
    frames = facts.pop("frames")
    record = ImageRecord(
        id=hashlib.sha256(candidate.path.encode()).hexdigest()[:16],
        path=candidate.path,
        label=candidate.label,
        split=candidate.split or "train",
        group=candidate.group or group_of_picture(facts["pixel_hash"]),
        votes=candidate.votes,
        **facts,
    )
    return record, frames
