"""DICOM files as pictures: nothing of a data set but what a picture is made of is ever looked at.

* elements     walks a data set without building it: where the wanted elements lie
* form         from those elements to checked numbers: size, depth, colours, rescale, windows
* frames       one frame's stored values, whatever the transfer syntax
* coded        what a compressed frame says of itself, before a decoder is let near it
* gdcm_worker  runs GDCM, which damaged files crash, in a process of its own
* picture      stored values to a picture: Hounsfield units, window, colours

pydicom takes 0.3 s to import, so the functions here import it when first called.
"""

import numpy as np
from numpy.typing import NDArray

from cnnClassifier.dicom.window import PRESETS, DicomFacts, Window

__all__ = ["PRESETS", "DicomFacts", "Window", "decode_dicom", "describe", "is_dicom"]


def is_dicom(data: bytes) -> bool:
    """Whether these bytes are a DICOM file: DICM after 128 bytes of anything, even of another format.

    Old files without that head are not taken for DICOM: nothing tells them surely from other data.
    """
    return data[128:132] == b"DICM"


def describe(data: bytes, frame: int = 0) -> DicomFacts:
    """Frames and size of a DICOM file and a frame's windows; no pixel is decoded. ImageError if it is no picture.

    Of a frame that is not there, the file's own windows.
    """
    from cnnClassifier.dicom import picture

    return picture.describe(data, frame)


def decode_dicom(
    data: bytes, *, window: Window | None = None, frame: int = 0, max_pixels: int | None = None
) -> NDArray[np.float32]:
    """One frame as float32 0-255, shape (height, width, 1 or 3); ImageError if it can't be.

    Grey values go through `window`, by default the file's own first one, else for a CT in Hounsfield units the
    preset "wide", else from the 1st to the 99th percentile (8 bits without any rescale stay as they are). Colours
    know no window. Raises ImageError, before any pixel is decoded, for a frame of more than `max_pixels`.
    """
    from cnnClassifier.dicom import picture

    return picture.decode_dicom(data, window=window, frame=frame, max_pixels=max_pixels)
