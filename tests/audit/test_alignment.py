"""Alignment: one picture under another frame correlates, another picture does not, and nothing breaks it."""

import cv2
import numpy as np
import pytest

from cnnClassifier.audit.alignment import detail_correlation
from cnnClassifier.audit.descriptor import SIDE


def picture(seed: int) -> np.ndarray:
    """A bright body with texture of several scales, uint8 (SIDE, SIDE)."""
    draw = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    body = 150 * (np.hypot(rows / 50, columns / 58) < 1)
    texture = sum(cv2.GaussianBlur(draw.normal(size=(SIDE, SIDE)), (0, 0), sigma) * sigma * 60 for sigma in (1, 3, 8))
    return np.clip(body + texture * (body > 0), 0, 255).astype(np.uint8)


def moved(image: np.ndarray, turn: float = 0, scale: float = 1, shift: tuple[float, float] = (0, 0)) -> np.ndarray:
    warp = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), turn, scale)
    warp[:, 2] += shift
    return cv2.warpAffine(image, warp, (SIDE, SIDE))


@pytest.mark.parametrize("change", [
    {}, {"shift": (5, -3)}, {"scale": 1.08}, {"scale": 0.94, "shift": (2, 4)}, {"turn": 4},
])  # fmt: skip
def test_the_same_picture_in_another_frame_correlates(change):
    assert detail_correlation(picture(1), moved(picture(1), **change)) > 0.9


def test_another_window_does_not_matter():
    brighter = np.clip(picture(1).astype(float) * 0.6 + 40, 0, 255).astype(np.uint8)
    assert detail_correlation(picture(1), brighter) > 0.97


def test_another_picture_of_the_same_outline_does_not_correlate():
    """Their rims are alike, so not quite nothing is left."""
    assert detail_correlation(picture(1), picture(2)) < 0.65


@pytest.mark.parametrize("other", [
    np.zeros((SIDE, SIDE), np.uint8),
    np.full((SIDE, SIDE), 200, np.uint8),
    np.eye(SIDE, dtype=np.uint8) * 255,
    np.random.default_rng(0).integers(0, 256, (SIDE, SIDE), np.uint8),
], ids=["black", "grey", "line", "noise"])  # fmt: skip
def test_what_cannot_be_aligned_correlates_with_nothing(other):
    assert detail_correlation(picture(1), other) == pytest.approx(0, abs=0.2)
    assert detail_correlation(other, picture(1)) == pytest.approx(0, abs=0.2)


def test_two_blank_pictures_are_no_match():
    blank = np.zeros((SIDE, SIDE), np.uint8)
    assert detail_correlation(blank, blank) == 0
