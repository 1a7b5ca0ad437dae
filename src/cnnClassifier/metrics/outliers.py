"""What the outlier detector is worth: how well it tells other kinds of image from its own, and at what cost."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

Distances = NDArray[np.floating]

CURVE = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)  # shares of own images refused, one threshold each


def outlier_report(own: Distances, others: Mapping[str, Distances], threshold: float) -> dict[str, Any]:
    """AUROC and share refused for each other kind, and the refusal curve, from distances of images.

    `own` are leave-group-out distances of the model's own images (outliers.OutlierDetector.held_out) or those of its
    test images; `others` the distances of each other kind's images. `curve` has a row a threshold: what share of own
    images it refuses, and of each other kind. ValueError if there are no images of a kind.
    """
    return {
        "threshold": threshold,
        "own_refused": _refused(own, threshold),
        "kinds": {
            name: {"auroc": _auroc(own, other), "refused": _refused(other, threshold), "images": len(other)}
            for name, other in others.items()
        },
        "curve": [_point(own, others, float(np.quantile(own, 1 - share, method="higher"))) for share in CURVE],
    }


def _point(own: Distances, others: Mapping[str, Distances], threshold: float) -> dict[str, Any]:
    refused = {name: _refused(other, threshold) for name, other in others.items()}
    return {"threshold": threshold, "own_refused": _refused(own, threshold), "refused": refused}


def _auroc(own: Distances, other: Distances) -> float:
    return float(roc_auc_score(np.repeat([0, 1], [len(own), len(other)]), np.concatenate([own, other])))


def _refused(distance: Distances, threshold: float) -> float:
    return float((~(distance <= threshold)).mean())  # as decide() does: what is not a number is refused
