"""Precision as the mean over classes, beside balanced accuracy, which is their mean recall."""

from collections.abc import Mapping
from typing import Any


def mean_precision(report: Mapping[str, Any]) -> float | None:
    """Of a report as metrics.json has it: the mean over the classes that have images; None if there is none.

    It has no interval: per-class ones are kept there, and the mean of these is no limit of the mean.
    """
    values = [each["precision"]["value"] for each in report.get("per_class", {}).values()]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
