"""What a source's listing tells of itself that an accuracy would never show: patients that nothing names."""

import logging
from collections.abc import Sequence

from cnnClassifier.config.data import CsvSource, DataIngestionConfig
from cnnClassifier.datasets.candidates import Candidate, Listing
from cnnClassifier.errors import DataError

log = logging.getLogger(__name__)


def check_listing(listing: Listing, config: DataIngestionConfig) -> None:
    """Raise DataError where the configuration cannot have meant what was found; warn where it may have."""
    candidates, _ = listing
    _check_groups(candidates, config)


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
