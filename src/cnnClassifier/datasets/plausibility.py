"""What a listing tells of itself that no accuracy would show: files that are missing, patients without a name, and
votes that are not of the labels.
"""

import logging
from collections.abc import Sequence

from cnnClassifier.config.data import CsvSource, DataIngestionConfig
from cnnClassifier.datasets.candidates import NO_FILE, Candidate, Listing
from cnnClassifier.datasets.manifest import RejectedFile
from cnnClassifier.errors import DataError

MOST_CONTRADICTED = 0.5  # of the rows with votes: readers may often differ from what a biopsy found

log = logging.getLogger(__name__)


def check_listing(listing: Listing, config: DataIngestionConfig) -> None:
    """Raise DataError where the configuration cannot have meant what was found; warn where it may have."""
    candidates, misplaced = listing
    _check_missing(candidates, misplaced)
    _check_groups(candidates, config)
    _check_votes(candidates, tuple(config.classes))


def _check_missing(candidates: Sequence[Candidate], misplaced: Sequence[RejectedFile]) -> None:
    missing = [item.path for item in misplaced if item.reason == NO_FILE]
    if not missing:
        return
    rows = len(candidates) + len(misplaced)
    fault = f"{len(missing)} of the table's {rows} files are not there, such as {missing[0]!r}"
    if not candidates:
        raise DataError(f"{fault}; correct `data_ingestion.source.root` or the table's file names, or bring the files")
    log.warning("%s: they are left out", fault)


def _check_groups(candidates: Sequence[Candidate], config: DataIngestionConfig) -> None:
    """A patient whom nothing names may be on both sides of a split."""
    told_by = _groups_told_by(config)
    nameless = [candidate.path for candidate in candidates if not candidate.group]
    if told_by is None or not nameless:
        return
    if len(nameless) == len(candidates):
        raise DataError(
            f"{told_by} names the patient or scan of no file, such as {nameless[0]!r}; correct it, or leave it out"
        )
    log.warning(
        "%s does not name the patient or scan of %d of %d files, such as %r: there, groups are what looks alike",
        told_by, len(nameless), len(candidates), nameless[0],
    )  # fmt: skip


def _groups_told_by(config: DataIngestionConfig) -> str | None:
    if isinstance(config.source, CsvSource) and config.source.group_column:
        return f"`data_ingestion.source.group_column` {config.source.group_column!r}"
    return f"`data_ingestion.group_pattern` {config.group_pattern!r}" if config.group_pattern else None


def _check_votes(candidates: Sequence[Candidate], names: Sequence[str]) -> None:
    """Annotators may contradict a label here and there, but not its column all the way down."""
    voted = [candidate for candidate in candidates if candidate.votes]
    against = [each.path for each in voted if max(each.votes) > each.votes[names.index(each.label)]]
    if not against:
        return
    fault = (
        f"{len(against)} of {len(voted)} rows have more votes for another class than their own, such as {against[0]!r}"
    )
    if len(against) > MOST_CONTRADICTED * len(voted):
        raise DataError(f"{fault}; `data_ingestion.source.votes.columns` probably names the wrong column")
    log.warning("%s: label and votes stay as they are", fault)
