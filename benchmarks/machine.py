"""What a machine can do at most, and how much of it a network asks for: the limits that the benchmarks compare with."""

import time
from typing import Any

import numpy as np

MATRIX = 4096  # side of the matrices that are multiplied

Moment = tuple[float, float]


def now() -> Moment:
    """Seconds by the clock, and of this process' threads."""
    return time.perf_counter(), time.process_time()


def matrix_peak() -> float:
    """Floating-point operations a second of NumPy's product of two square float32 matrices, best of three."""
    square = np.random.default_rng(0).random((MATRIX, MATRIX), np.float32)
    best = np.inf
    for _ in range(4):  # the first one starts threads
        began = time.perf_counter()
        square @ square
        best = min(best, time.perf_counter() - began)
    return float(2 * MATRIX**3 / best)


def count_operations(model: Any) -> int:
    """Multiplications and additions of all convolutions, an image."""
    convolutions = [layer for layer in model.layers if type(layer).__name__ == "Conv2D"]
    return sum(2 * int(np.prod(layer.output.shape[1:3])) * int(np.prod(layer.kernel.shape)) for layer in convolutions)
