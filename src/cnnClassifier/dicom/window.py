"""The window: which values a picture shows between black and white."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Window:
    """Centre and width, in the file's units (HU for a CT); ValueError unless both are finite and the width >= 1."""

    center: float
    width: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.center) and math.isfinite(self.width)):
            raise ValueError(f"a window's centre and width are finite. Received: {self.center}, {self.width}")
        if self.width < 1:
            raise ValueError(f"a window is at least 1 wide. Received: {self.width}")

    def apply(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Values to float32 0-255, linearly between the window's ends (DICOM's LINEAR_EXACT)."""
        floor = np.float32(self.center - self.width / 2)
        scaled = (values - floor) * np.float32(255 / self.width)
        return np.clip(scaled, 0, 255, out=scaled)


# (centre, width) in HU. "wide" is the one that most of the chest CT pictures were saved with: docs/reading.md.
PRESETS = {
    "lung": Window(-600, 1500),
    "mediastinum": Window(40, 400),
    "bone": Window(400, 1800),
    "wide": Window(0, 2000),
}


@dataclass(frozen=True)
class DicomFacts:
    """What may be said of a DICOM file: nothing that names a patient, a place, a person or a day.

    `rows` and `columns` are one frame's pixels; of the frame asked about are `hounsfield`: its values are Hounsfield
    units; `window`: its first own window, if it has a usable one; `default_window`: what `decode_dicom` uses unless
    told otherwise, None where it stretches percentiles or the picture has colours (`grey` is False) and windows do
    nothing.
    """

    frames: int
    rows: int
    columns: int
    grey: bool
    hounsfield: bool
    window: Window | None
    default_window: Window | None
