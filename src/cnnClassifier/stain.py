"""Stain normalisation: a slide stained or scanned elsewhere gets the colours of one reference.

NumPy alone, since the served model does it too. A picture with nothing to normalise (grey, blank, one stain only)
is returned as it is.

Sources: Reinhard, Ashikhmin, Gooch, Shirley 2001, Color Transfer between Images; Ruderman, Cronin, Chiao 1998 (its
colour space); Macenko et al. 2009, A method for normalizing histology slides for quantitative analysis. The reference
values are those in common use: a region of TCGA-A2-A3XS-DX1 (Amgad et al. 2019) and the authors' own stains.
"""

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]
Doubles = NDArray[np.float64]

FEWEST = 16  # tissue pixels that say what a stain looks like
LEAST_COLOUR = 1.0  # grey levels between a pixel's channels, on average: below, the picture is grey
LEAST_AMOUNT = 1e-6  # of a stain, or of a channel's deviation: below, there is nothing to scale
LEAST_ANGLE = 0.05  # radians between two stains: below, there is but one

RGB_TO_LMS = np.array([[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]])
LMS_TO_LAB = np.diag([3**-0.5, 6**-0.5, 2**-0.5]) @ np.array([[1, 1, 1], [1, 1, -2], [1, -1, 0]])
# Mean and deviation of the reference's tissue in that space (natural logarithms of 0-255).
REINHARD_MEAN = np.array([8.74108109, -0.12440419, 0.0444982])
REINHARD_DEVIATION = np.array([0.6135447, 0.10989545, 0.0286032])

LIGHT = 240.0  # what an empty slide lets through, in grey levels
TRANSPARENT = 0.15  # optical density below which a pixel is no tissue
EXTREMES = (1, 99)  # percentiles of the angle that stand for the two pure stains
FULL = 99  # percentile of a stain's amount that counts as the most there is
# Optical density of haematoxylin and of eosin (columns), RGB, and the most there is of each.
MACENKO_STAINS = np.array([[0.5626, 0.2159], [0.7201, 0.8012], [0.4062, 0.5581]])
MACENKO_MOST = np.array([1.9705, 1.0308])


def normalise_stain(pixels: Pixels, method: str) -> Pixels:
    """Pixels (height, width, 1 or 3), RGB 0-255, with the reference's colours; `method` as in `PreprocessingSpec`."""
    if method == "none" or pixels.shape[-1] != 3 or _is_grey(pixels):
        return pixels
    flat = pixels.reshape(-1, 3).astype(np.float64)
    tissue = np.asarray((_optical_density(flat) > TRANSPARENT).all(axis=1))
    if tissue.sum() < FEWEST:
        return pixels
    changed = _reinhard(flat) if method == "reinhard" else _macenko(flat, tissue)
    if changed is None:
        return pixels
    return np.clip(changed, 0, 255).astype(np.float32).reshape(pixels.shape)


def _is_grey(pixels: Pixels) -> bool:
    return float(np.ptp(pixels, axis=-1).mean()) < LEAST_COLOUR


def _optical_density(flat: Doubles) -> Doubles:
    """How much light each pixel takes away, by channel (Beer and Lambert)."""
    return -np.log((flat + 1) / LIGHT)


def _reinhard(flat: Doubles) -> Doubles | None:
    """The picture's mean and deviation made those of the reference, by channel; None where it has but one colour."""
    lab = np.log(np.maximum(flat @ RGB_TO_LMS.T, 1)) @ LMS_TO_LAB.T
    mean, deviation = lab.mean(axis=0), lab.std(axis=0)
    if not (deviation > LEAST_AMOUNT).all():
        return None
    lab = (lab - mean) / deviation * REINHARD_DEVIATION + REINHARD_MEAN
    changed: Doubles = _exp(lab @ np.linalg.inv(LMS_TO_LAB).T) @ np.linalg.inv(RGB_TO_LMS).T
    return changed


def _macenko(flat: Doubles, tissue: NDArray[np.bool_]) -> Doubles | None:
    """Each pixel taken apart into two stains, whose colours and amounts become the reference's; None for one stain."""
    density = _optical_density(flat)
    stains = _find_stains(density[tissue])
    if stains is None:
        return None
    amounts = density @ np.linalg.pinv(stains).T
    most = np.percentile(amounts[tissue], FULL, axis=0)
    if not (most > LEAST_AMOUNT).all():
        return None
    changed: Doubles = LIGHT * _exp(-(amounts / most * MACENKO_MOST) @ MACENKO_STAINS.T) - 1
    return changed


def _exp(values: Doubles) -> Doubles:
    """The exponential, of values so far out that the grey level is black or white anyway cut off."""
    exponential: Doubles = np.exp(np.clip(values, -20, 20))
    return exponential


def _find_stains(density: Doubles) -> Doubles | None:
    """Unit optical densities (3, 2) of haematoxylin and eosin: the outermost directions in the plane of the tissue."""
    plane = np.linalg.eigh(np.cov(density, rowvar=False))[1][:, 1:]
    # An axis may come out pointing either way; light taken away is positive.
    plane = plane * np.where(plane.sum(axis=0) < 0, -1, 1)
    across, along = (density @ plane).T
    low, high = np.percentile(np.arctan2(across, along), EXTREMES)
    if high - low < LEAST_ANGLE:
        return None
    ends = plane @ np.array([[np.sin(low), np.sin(high)], [np.cos(low), np.cos(high)]])
    # Haematoxylin, being blue, takes away more red than eosin does.
    stains: Doubles = ends if ends[0, 0] > ends[0, 1] else ends[:, ::-1]
    return stains
