"""What users would be told: the rules of a decision applied to out-of-fold predictions."""

from typing import Any

import numpy as np

from cnnClassifier.decision import DecisionSpec, decide
from cnnClassifier.metrics.predictions import Predictions


def answers_report(out_of_fold: Predictions, spec: DecisionSpec) -> dict[str, Any]:
    """Shares of images answered and referred to a person, how often the answers are right, how many a rule changed.

    Without the outlier rule: every image here is of the model's kind. The rules were chosen on these images, but none
    of the models saw them.
    """
    rules = spec.model_copy(update={"outliers": None})
    answers = [decide(row, rules, out_of_fold.classes) for row in out_of_fold.probabilities]
    answered = np.array([answer.state == "answer" for answer in answers])
    right = np.array([answer.label == label for answer, label in zip(answers, out_of_fold.labels, strict=True)])
    changed = np.array([bool(answer.changes) for answer in answers]) & answered
    return {
        "answered": _share(answered),
        "abstained": _share(~answered),
        "accuracy_of_answers": _share(right[answered]) if answered.any() else None,
        "changed_by_threshold": _share(changed),
    }


def _share(flags: np.ndarray) -> float:
    return round(float(flags.mean()), 6)
