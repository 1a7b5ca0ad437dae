"""What models are evaluated by, validated before training, so that a misspelt metric or class fails at once."""

from collections.abc import Collection, Sequence
from typing import Annotated

from pydantic import AfterValidator, Field

from cnnClassifier.config.section import Section
from cnnClassifier.errors import ConfigError

PROTOCOLS = ("grouped_cv", "published", "without_exact_copies", "deduplicated")
METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "macro_roc_auc", "macro_pr_auc", "loss")


def _known(name: str) -> str:
    protocol, _, metric = name.partition(".")
    if protocol not in PROTOCOLS or metric not in METRICS:
        raise ValueError(
            f"expected <protocol>.<metric>; protocols are {', '.join(PROTOCOLS)}, metrics {', '.join(METRICS)}"
        )
    return name


ComparedBy = Annotated[str, AfterValidator(_known)]


class OperatingConfig(Section):
    """Which way to err: a positive class is answered when their probabilities together reach a threshold.

    The threshold is the one of best specificity among those that reach `sensitivity` on out-of-fold predictions.
    """

    positive: tuple[str, ...] = Field(min_length=1)
    sensitivity: Annotated[float, Field(gt=0, le=1)] = 0.98

    def check_classes(self, classes: Collection[str]) -> None:
        """ValueError naming the key if a positive class is none of these."""
        if strangers := [name for name in self.positive if name not in classes]:
            raise ValueError(
                f"evaluation.operating.positive: expected classes of data_ingestion.classes ({', '.join(classes)}). "
                f"Received: {', '.join(strangers)}"
            )

    def indices(self, classes: Sequence[str]) -> tuple[int, ...]:
        """Where the positive classes stand among those of a model; ConfigError naming the key if one does not."""
        try:
            self.check_classes(classes)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        return tuple(classes.index(name) for name in self.positive)
