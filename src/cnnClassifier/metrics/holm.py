"""P-values of several questions at once.

Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6, 65-70.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values in the order given, corrected for their number: each may be compared with the level of all together.

    Step down: the smallest of m counts m times, the next m - 1 times and never less than the one before; at most 1.
    """
    given: NDArray[np.float64] = np.asarray(p_values, dtype=float)
    order = np.argsort(given, kind="stable")
    scaled = np.maximum.accumulate(given[order] * np.arange(len(order), 0, -1))
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(scaled, 1)
    return [float(p) for p in corrected]
