"""Measure many files: for the training reference, where every image can be read again."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnnClassifier.batching import map_in_threads
from cnnClassifier.errors import DataError, ImageError
from cnnClassifier.monitoring.properties import PROPERTIES, measure
from cnnClassifier.preprocessing import decode


def measure_files(files: Sequence[Path]) -> NDArray[np.float64]:
    """`PROPERTIES` of each file, (n, properties), in threads, with progress; DataError for one that cannot be read."""
    measured = list(map_in_threads(_measure_file, files, "measure images"))
    return np.array(measured).reshape(len(files), len(PROPERTIES))


def _measure_file(file: Path) -> tuple[float, ...]:
    try:
        return measure(decode(file.read_bytes()))
    except (OSError, ImageError) as error:
        raise DataError(f"{file}: could be read before, but no longer: {error}; run data_ingestion again") from None
