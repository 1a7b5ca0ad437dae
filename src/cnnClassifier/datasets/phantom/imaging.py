"""From Hounsfield units to an 8-bit picture: the scanner's blur and noise, the window, the frame."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from cnnClassifier.datasets.phantom.geometry import Array, Plane, View, length

Picture = npt.NDArray[np.uint8]

SUPERSAMPLING = 2
BLANK = -2000.0  # HU: the scanner's padding, black in any window
# (centre, width) in HU: lung windows in use, and the wider one of many teaching files.
WINDOWS = ((-600.0, 1500.0), (-500.0, 1500.0), (-550.0, 1800.0), (-400.0, 1900.0), (-250.0, 1800.0))


@dataclass(frozen=True)
class Acquisition:
    """How one patient was scanned and shown.

    `blur` is the scanner's point spread (sigma, mm), `edge` the strength of the kernel's edge enhancement,
    `noise` its standard deviation in soft tissue (HU), `window` (centre, width) in HU,
    `width` the breadth of the picture in mm; `centre` and `tilt` place it (mm, radians).
    Beyond `field` mm from the middle the scanner reconstructs nothing.
    """

    blur: float
    edge: float
    noise: float
    window: tuple[float, float]
    width: float
    centre: tuple[float, float]
    tilt: float
    field: float


def draw_acquisition(rng: np.random.Generator, body: tuple[float, float, float]) -> Acquisition:
    """A scan of a body of (half width, highest y, lowest y) mm, cropped tightly or widely."""
    half_width, top, bottom = body
    centre, width = WINDOWS[rng.integers(len(WINDOWS))]
    return Acquisition(
        blur=rng.uniform(0.55, 0.95),
        edge=rng.uniform(0.0, 0.5),
        noise=rng.gamma(6.0, 3.3) + 6,
        window=(centre + rng.normal(0, 40), width * rng.uniform(0.9, 1.12)),
        width=2 * half_width * rng.uniform(0.98, 1.22),
        centre=(rng.normal(0, 8), (top + bottom) / 2 + rng.normal(6, 12)),
        tilt=rng.normal(0, np.radians(2.2)),
        field=half_width * rng.uniform(1.02, 1.2) if rng.random() < 0.35 else 1e3,
    )


def shift_frame(acquisition: Acquisition, rng: np.random.Generator) -> Acquisition:
    """The same scan framed a little differently, as slices saved one by one are."""
    x, y = acquisition.centre
    return replace(
        acquisition,
        centre=(x + rng.normal(0, 1.5), y + rng.normal(0, 1.5)),
        width=acquisition.width * rng.uniform(0.99, 1.01),
    )


def fine_view(acquisition: Acquisition, size: int) -> View:
    """The view to paint in: `SUPERSAMPLING` times finer than the picture of `size` pixels."""
    pixels = SUPERSAMPLING * size
    return View(pixels, acquisition.width / pixels, acquisition.centre, acquisition.tilt)


def black_out_beyond_field(hu: Array, plane: Plane, acquisition: Acquisition) -> None:
    """Blank, in place, what lies outside the scanner's round field of view."""
    beyond = length(plane.x, plane.y - np.float32(acquisition.centre[1])) - np.float32(acquisition.field)
    hu[beyond > 0] = BLANK


def develop(hu: Array, acquisition: Acquisition, spacing: float, rng: np.random.Generator) -> Picture:
    """Blur, sample down, add noise, window: HU (2n, 2n) to grey (n, n).

    `spacing` is the size of an input pixel in mm.
    """
    blurred = gaussian_filter(hu, acquisition.blur / spacing, truncate=3)
    coarse = shrink(blurred)
    if acquisition.edge:
        coarse = coarse + acquisition.edge * (coarse - gaussian_filter(coarse, 1.2, truncate=3))
    coarse = coarse + _noise(coarse, acquisition.noise, rng)
    centre, width = acquisition.window
    return np.asarray(np.clip((coarse - centre) / width + 0.5, 0, 1) * 255 + 0.5, np.uint8)


def shrink(fine: Array) -> Array:
    """Average blocks of SUPERSAMPLING (2) pixels a side: (2n, 2n) to (n, n)."""
    upper, lower = fine[::2], fine[1::2]
    return (upper[:, ::2] + upper[:, 1::2] + lower[:, ::2] + lower[:, 1::2]) / np.float32(4)


def _noise(hu: Array, sigma: float, rng: np.random.Generator) -> Array:
    """Grain of a filtered back-projection: no slow drift, little at the finest scale; weaker in air."""
    white = rng.standard_normal(hu.shape, dtype=np.float32)
    grain = gaussian_filter(white, 0.6, truncate=3) - gaussian_filter(white, 1.8, truncate=3)
    strength = np.interp(gaussian_filter(hu, 4, truncate=2), (-1000, 0), (0.55, 1.0)).astype(np.float32)
    return np.asarray(grain * (sigma / float(grain.std())) * strength, np.float32)
