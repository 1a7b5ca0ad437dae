"""Uploaded bytes as a picture: decoded as it was asked for, and as a PNG that any browser shows."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from cnnClassifier import dicom
from cnnClassifier.inference import Classifier
from cnnClassifier.preprocessing import Pixels, Stored, decode_stored, kept_box, prepare
from cnnClassifier.web.answers import AskQuery, DicomAnswer, PictureAnswer, WindowAnswer

SHOWN_SIDE = 1024  # pixels: the longer side of pictures that are sent back at most


@dataclass(frozen=True)
class Picture:
    """A decoded file: 0-255, (height, width, 1 or 3), and what it is if it is DICOM."""

    pixels: Stored
    dicom: DicomAnswer | None = None

    def shown_to(self, classifier: Classifier) -> tuple[PictureAnswer, Pixels]:
        """What is told of it, and the network's input."""
        height, width = self.pixels.shape[:2]
        spec = classifier.spec.preprocessing
        seen = kept_box(self.pixels, spec)
        told = PictureAnswer(width=width, height=height, seen=seen, dicom=self.dicom)
        return told, prepare(self.pixels, spec, seen)


def read_picture(data: bytes, ask: AskQuery, max_pixels: int) -> Picture:
    """Decode a file, a DICOM file through the window and at the frame asked for; ImageError if that cannot be."""
    if not dicom.is_dicom(data):
        return Picture(decode_stored(data, max_pixels))
    facts = dicom.describe(data, ask.frame)
    window = _window(ask) or facts.default_window
    pixels = dicom.decode_dicom(data, window=window, frame=ask.frame, max_pixels=max_pixels)
    shown = WindowAnswer(center=window.center, width=window.width) if window else None
    return Picture(pixels, DicomAnswer(frames=facts.frames, frame=ask.frame, hounsfield=facts.hounsfield, window=shown))


def as_png(pixels: Stored) -> bytes:
    """Pixels as a PNG whose longer side is at most SHOWN_SIDE."""
    levels = pixels.round().astype(np.uint8)
    image = Image.fromarray(levels[..., 0] if levels.shape[-1] == 1 else levels)
    image.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
    encoded = io.BytesIO()
    image.save(encoded, "PNG")
    return encoded.getvalue()


def _window(ask: AskQuery) -> dicom.Window | None:
    if ask.window_center is None or ask.window_width is None:
        return None
    return dicom.Window(ask.window_center, ask.window_width)
