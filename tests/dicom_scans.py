"""A CT slice as the bytes of a DICOM file, and the greys that a window shows of its values."""

import numpy as np

from cnnClassifier.dicom import Window
from hostile import dicom_files as dicom

WHOLE = Window(0, 4096)  # of which one grey level is 16 HU


def scan(syntax: str = dicom.EXPLICIT, **changes: object) -> bytes:
    return dicom.write(dicom.ct(**changes), syntax)


def shown(values: np.ndarray, window: Window) -> np.ndarray:
    return np.clip((values - (window.center - window.width / 2)) / window.width, 0, 1) * 255
