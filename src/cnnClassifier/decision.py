"""From a network's probabilities to an answer: calibration, threshold, conformal set, abstention. Pure.

The numbers are fitted on out-of-fold predictions (evaluation) and saved inside the model.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from cnnClassifier.config.section import Section


class OperatingPoint(Section):
    """A `positive` class is answered when their calibrated probabilities add up to `threshold` or more."""

    positive: tuple[str, ...] = Field(min_length=1)
    threshold: float = Field(ge=0, le=1)


class ConformalRule(Section):
    """Classes whose calibrated probability is at least 1 - `quantile` form a set that holds the truth at `coverage`."""

    coverage: float = Field(gt=0, lt=1)
    quantile: float = Field(ge=0, le=1)


class OutlierRule(Section):
    """An image whose distance from the training images is above `threshold` is not of the model's kind."""

    threshold: float = Field(ge=0)


class DecisionSpec(Section):
    """Everything between probabilities and answer, in the order it is applied; null where a model has no such rule."""

    temperature: float = Field(default=1.0, gt=0)
    outliers: OutlierRule | None = None
    operating: OperatingPoint | None = None
    conformal: ConformalRule | None = None
    abstain: Literal["never", "undecided", "ambiguous"] = "never"

    @model_validator(mode="after")
    def _abstaining_needs_its_rules(self) -> "DecisionSpec":
        if self.abstain != "never" and self.conformal is None:
            raise ValueError(f"`abstain: {self.abstain}` needs a conformal rule: it asks which classes are in the set")
        if self.abstain == "undecided" and self.operating is None:
            raise ValueError("`abstain: undecided` needs an operating point: it asks which classes are positive")
        return self


@dataclass(frozen=True)
class Answer:
    """What is said of one image.

    `label` is None unless the state is "answer"; `confidence` is the calibrated probability of the label, or of the
    most probable class where there is none. `probabilities` are calibrated, in the model's order. `prediction_set`
    holds the classes that the image may be, the most probable first. `changes` has a sentence for each rule that
    made this another answer than the most probable class.
    """

    state: Literal["answer", "abstained", "refused"]
    label: str | None
    confidence: float
    probabilities: dict[str, float]
    prediction_set: tuple[str, ...]
    changes: tuple[str, ...] = ()


def decide(
    probabilities: NDArray[np.floating], spec: DecisionSpec, classes: Sequence[str], distance: float | None = None
) -> Answer:
    """Answer, abstain or refuse, from one image's uncalibrated probabilities (classes,).

    `distance` is how far its features lie from the training images (outliers.distances). ValueError if the model
    has a rule for it and it is None: no image passes the detector unmeasured.
    """
    values = calibrate(probabilities[np.newaxis], spec.temperature)[0]
    by_class = dict(zip(classes, map(float, values), strict=True))
    top, label = _most_probable(by_class, classes), _label(by_class, spec.operating)
    possible = conformal_set(by_class, spec.conformal)
    if spec.outliers is not None and not _is_near(distance, spec.outliers):
        refusal = f"distance {distance:.2f}, limit {spec.outliers.threshold:.2f}"
        changes = (f"refused: the image differs from all training images ({refusal})",)
        return Answer("refused", None, by_class[top], by_class, possible, changes)
    if _abstains(possible, spec):
        changes = (f"no answer: the image may be {_either(possible)}",)
        return Answer("abstained", None, by_class[top], by_class, possible, changes)
    if label != top:
        # The set says what the image may be: it cannot lack what is answered.
        possible = tuple(dict.fromkeys((*possible, label)))
    return Answer("answer", label, by_class[label], by_class, possible, _threshold_change(by_class, label, top, spec))


def conformal_set(calibrated: Mapping[str, float], rule: ConformalRule | None) -> tuple[str, ...]:
    """The classes whose probability is at least 1 - quantile, the most probable first and always in it.

    Split conformal prediction with the score 1 - probability (Sadinle, Lei and Wasserman 2019, "Least Ambiguous
    Set-Valued Classifiers with Bounded Error Levels"). Without a rule: the most probable class alone.
    """
    first, *others = sorted(calibrated, key=lambda name: -calibrated[name])
    if rule is None:
        return (first,)
    return (first, *(name for name in others if 1 - calibrated[name] <= rule.quantile))


def calibrate(probabilities: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """Probabilities (n, classes) at another temperature: p ** (1 / temperature), rows summing to 1 again.

    The same as dividing the logits by it (Guo et al. 2017, "On Calibration of Modern Neural Networks"): above 1
    makes a model less sure of itself, and the order of the classes stays. A probability of 0 stays 0.
    """
    with np.errstate(divide="ignore"):  # the logarithm of 0 is minus infinity, and its exponential 0 again
        logits = np.log(probabilities.astype(np.float64))
    # Measured from each row's largest, no power can underflow in all classes at once.
    powers = np.exp((logits - logits.max(axis=1, keepdims=True)) / temperature)
    calibrated: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return calibrated


def _label(calibrated: Mapping[str, float], point: OperatingPoint | None) -> str:
    """The most probable class on the side of the threshold that the positive classes' sum lies on."""
    if point is None:
        return _most_probable(calibrated, calibrated)
    is_positive = _reach(calibrated, point) >= point.threshold
    return _most_probable(calibrated, [name for name in calibrated if (name in point.positive) == is_positive])


def _threshold_change(calibrated: Mapping[str, float], label: str, top: str, spec: DecisionSpec) -> tuple[str, ...]:
    if label == top or spec.operating is None:
        return ()
    point = spec.operating
    names = ", ".join(point.positive)
    subject = f"the class {names} reaches" if len(point.positive) == 1 else f"the classes {names} together reach"
    numbers = f"{_reach(calibrated, point):.3g}, and the threshold is {point.threshold:.3g}"
    return (f"answered {label} rather than {top}: {subject} {numbers}",)


def _reach(calibrated: Mapping[str, float], point: OperatingPoint) -> float:
    return sum(calibrated[name] for name in point.positive)


def _abstains(possible: Sequence[str], spec: DecisionSpec) -> bool:
    if spec.abstain == "undecided" and spec.operating is not None:
        return len({name in spec.operating.positive for name in possible}) > 1
    return spec.abstain == "ambiguous" and len(possible) > 1


def _is_near(distance: float | None, rule: OutlierRule) -> bool:
    if distance is None:
        raise ValueError("this model refuses images of other kinds: decide() needs the image's distance")
    return distance <= rule.threshold  # false for what is not a number


def _most_probable(calibrated: Mapping[str, float], names: Iterable[str]) -> str:
    return max(names, key=calibrated.__getitem__)


def _either(names: Sequence[str]) -> str:
    """ "a", "a or b", "a, b or c"."""
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))
