"""Are two pictures the same, whatever was done to margins, window and compression: align them, compare their detail.

Measured on the phantom (docs/audit.md): one slice saved twice correlates at .99 and more, neighbouring slices
of a patient at .76 to .98, slices of two patients at .77 and less.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Image = NDArray[np.float32]
Warp = NDArray[np.float32]

COARSE = 64  # pixels: the first alignment, which has to find its way
COARSE_STEPS, FINE_STEPS = 30, 40
PROMISING = 0.85  # coarse correlation below which no pair was ever one patient's
DETAIL = (0.7, 2.0)  # pixels: what lies between these two blurs is vessels, edges and grain, not anatomy at large
MARGIN = 9  # pixels: where warped pictures end, blurs see the end
SMALLEST_OVERLAP = 400  # pixels


def detail_correlation(first: Picture, second: Picture) -> float:
    """Correlation of fine detail of two pictures (n, n), 0-255, after an affine alignment; 0 where none is found.

    Alignment by enhanced correlation (Evangelidis and Psarakis 2008) on half the resolution, then on the full one.
    """
    one, other = first.astype(np.float32), second.astype(np.float32)
    warp = _align(one, other)
    return 0.0 if warp is None else _compare(one, other, warp)


def _align(one: Image, other: Image) -> Warp | None:
    """The affine map from the first picture's places to the second's; None for pictures with nothing in common."""
    factor = one.shape[0] / COARSE
    small = [cv2.resize(image, (COARSE, COARSE), interpolation=cv2.INTER_AREA) for image in (one, other)]
    try:
        correlation, warp = _refine(small[0], small[1], np.eye(2, 3, dtype=np.float32), COARSE_STEPS, 5)
        if correlation < PROMISING:
            return None
        return _refine(one, other, warp * np.array([1, 1, factor], np.float32), FINE_STEPS, 3)[1]
    except cv2.error:  # no convergence
        return None


def _refine(one: Image, other: Image, warp: Warp, steps: int, blur: int) -> tuple[float, Warp]:
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, steps, 1e-5)
    correlation, refined = cv2.findTransformECC(one, other, warp, cv2.MOTION_AFFINE, criteria, None, blur)
    return float(correlation), refined


def _compare(one: Image, other: Image, warp: Warp) -> float:
    inverse = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(other, warp, one.shape, flags=inverse)
    covered = cv2.warpAffine(np.ones_like(other), warp, one.shape, flags=inverse) == 1
    inside = cv2.erode(covered.astype(np.uint8), np.ones((MARGIN, MARGIN), np.uint8)) > 0
    details = [_detail(image)[inside] for image in (one, warped)]
    if inside.sum() < SMALLEST_OVERLAP or min(detail.std() for detail in details) == 0:
        return 0.0
    return float(np.corrcoef(details[0], details[1])[0, 1])


def _detail(image: Image) -> Image:
    fine, coarse = (cv2.GaussianBlur(image, (0, 0), sigma) for sigma in DETAIL)
    detail: Image = fine - coarse
    return detail
