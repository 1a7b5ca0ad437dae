"""Soft labels: what annotators' votes say of an image, for training on how sure people were."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cnnClassifier.datasets.manifest import ImageRecord
from cnnClassifier.errors import ConfigError, DataError


def soft_targets(records: Sequence[ImageRecord], classes: Sequence[str]) -> NDArray[np.float32]:
    """The share of votes for each class (n, classes), rows adding up to 1; the label alone where nobody voted.

    Raises ConfigError where nobody voted on any image: what cannot be asked of these; DataError for votes that are not
    of these classes.
    """
    if not any(record.votes for record in records):
        raise ConfigError(
            "training.soft_labels: the manifest has no votes; name their columns in `data_ingestion.source.votes` "
            "(a source of kind csv), or set it to false"
        )
    return np.array([_shares(record, classes) for record in records], np.float32)


def _shares(record: ImageRecord, classes: Sequence[str]) -> list[float]:
    if not record.votes:
        return [float(name == record.label) for name in classes]
    if len(record.votes) != len(classes):
        raise DataError(
            f"training.soft_labels: {record.path} has votes for {len(record.votes)} classes, and the model has "
            f"{len(classes)}; run `python main.py data_ingestion` again"
        )
    return [count / sum(record.votes) for count in record.votes]
