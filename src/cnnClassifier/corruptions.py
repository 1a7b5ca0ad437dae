"""What befalls a picture between scanner and model: nine corruptions, each at five strengths.

The idea is Hendrycks and Dietterich's (2019, "Benchmarking neural network robustness to common corruptions"); the kinds
are those of an exported CT slice. A corruption acts on the decoded picture, float32 0-255 (height, width, 1 or 3), and
what comes out is a file of 8 bits again, as another export would write it: the model decodes, crops, stretches that.
Strengths 1 and 2 are mild: what another export of the same slice may show (docs/robustness.md says how chosen).
Directions (brighter or darker, ...) are drawn for each image and are the same at every strength.
"""

import io
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from cnnClassifier.augmentation import code_digest
from cnnClassifier.config.network import PreprocessingSpec
from cnnClassifier.preprocessing import Pixels, decode, preprocess

Corrupt = Callable[[Pixels, float, np.random.Generator], Pixels]

MILD = 2  # the strongest of the mild strengths
JPEG = "jpeg"


@dataclass(frozen=True)
class Corruption:
    """One kind of damage: `values` are its five strengths in `unit`, `apply` makes it."""

    name: str
    unit: str
    values: tuple[float, float, float, float, float]
    apply: Corrupt


@dataclass(frozen=True)
class CorruptedView:
    """A way to look at every image, as `augmentation.View` is: under one corruption at a strength of 1 to 5."""

    corruption: Corruption
    strength: int

    @property
    def value(self) -> float:
        """How strong, in the corruption's unit."""
        return self.corruption.values[self.strength - 1]

    @property
    def key(self) -> str:
        """Names the view in the feature cache; an edit of this module never meets older features."""
        return f"{self.corruption.name}-{self.strength}-{code_digest(CorruptedView)}"

    def prepare(self, data: bytes, spec: PreprocessingSpec, image_key: str) -> Pixels:
        """Network input made of an encoded image after its corruption; `image_key` is a hex digest that names it."""
        return preprocess(corrupt_file(data, self.corruption, self.value, image_key), spec)


def corrupt_file(data: bytes, corruption: Corruption, value: float, image_key: str) -> bytes:
    """An image file as another of 8 bits, corrupted; always the same for the same image."""
    name = int.from_bytes(corruption.name.encode())
    draw = np.random.default_rng([int(image_key[:16], 16), name])
    pixels = corruption.apply(decode(data), value, draw)
    return encode(pixels, round(value)) if corruption.name == JPEG else encode(pixels)


def encode(pixels: Pixels, quality: int | None = None) -> bytes:
    """Pixels 0-255 (height, width, 1 or 3), rounded, as a JPEG file of that quality or, without one, unharmed."""
    image = Image.fromarray(pixels.clip(0, 255).round().astype(np.uint8).squeeze(-1 if pixels.shape[-1] == 1 else ()))
    stream = io.BytesIO()
    image.save(stream, "PPM") if quality is None else image.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def brighten(pixels: Pixels, value: float, draw: np.random.Generator) -> Pixels:
    """Every pixel brighter or darker by `value` grey levels."""
    return _clip(pixels + _sign(draw) * value)


def change_contrast(pixels: Pixels, value: float, draw: np.random.Generator) -> Pixels:
    """Distances from mid grey multiplied or divided by 1 + `value`."""
    return _clip((pixels - 127.5) * (1 + value) ** _sign(draw) + 127.5)


def change_window(pixels: Pixels, value: float, draw: np.random.Generator) -> Pixels:
    """Shown in another CT display window: wider or narrower by 1 + `value`, its level moved by up to half of `value`.

    What lies outside the new window is black or white; what lay outside the old one stays lost.
    """
    width = 255 * (1 + value) ** _sign(draw)
    level = 127.5 + 255 * value * draw.uniform(-0.5, 0.5)
    return _clip((pixels - level) * (255 / width) + 127.5)


def add_noise(pixels: Pixels, value: float, draw: np.random.Generator) -> Pixels:
    """Gaussian noise of `value` grey levels (standard deviation), the same in all channels."""
    return _clip(pixels + draw.normal(0, value, (*pixels.shape[:2], 1)))


def blur(pixels: Pixels, value: float, _draw: np.random.Generator) -> Pixels:
    """A Gaussian blur whose standard deviation is `value` thousandths of the picture's width."""
    sigma = value * pixels.shape[1] / 1000
    return _clip(ndimage.gaussian_filter(pixels, (sigma, sigma, 0), mode="nearest"))


def leave(pixels: Pixels, _value: float, _draw: np.random.Generator) -> Pixels:
    """The picture as it is: its file is what changes."""
    return pixels


def rotate(pixels: Pixels, value: float, draw: np.random.Generator) -> Pixels:
    """Turned clockwise or counter-clockwise by `value` degrees in its frame; what comes in is as dark as its air."""
    air = float(np.percentile(pixels, 1))
    turned = ndimage.rotate(pixels, _sign(draw) * value, reshape=False, order=1, mode="constant", cval=air)
    return _clip(turned)


def shrink(pixels: Pixels, value: float, _draw: np.random.Generator) -> Pixels:
    """Resampled to `value` of its width and height (Pillow's antialiased bilinear filter): coarser pixels."""
    size = tuple(max(1, round(side * value)) for side in (pixels.shape[1], pixels.shape[0]))
    channels = [Image.fromarray(np.ascontiguousarray(channel)) for channel in np.moveaxis(pixels, -1, 0)]
    return np.stack([np.asarray(each.resize(size, Image.Resampling.BILINEAR)) for each in channels], axis=-1)


def change_margin(pixels: Pixels, value: float, draw: np.random.Generator) -> Pixels:
    """Each side cut off by `value` of the picture's, or a black or a white border of that width put around it."""
    rows, columns = (math.ceil(side * value) for side in pixels.shape[:2])
    kind = draw.integers(3)
    if kind == 0:
        return pixels[rows:-rows, columns:-columns] if min(pixels.shape[:2]) > 2 * max(rows, columns) else pixels
    border = ((rows, rows), (columns, columns), (0, 0))
    return np.pad(pixels, border, constant_values=0.0 if kind == 1 else 255.0)


CORRUPTIONS = (
    Corruption("brightness", "grey levels of 255", (8, 16, 32, 56, 80), brighten),
    Corruption("contrast", "share of the distance from mid grey", (0.08, 0.16, 0.35, 0.7, 1.2), change_contrast),
    Corruption("window", "share of the display window", (0.06, 0.12, 0.25, 0.5, 0.8), change_window),
    Corruption("noise", "grey levels, standard deviation", (1.5, 3, 6, 12, 24), add_noise),
    Corruption("blur", "thousandths of the width, standard deviation", (1, 2, 4, 7, 11), blur),
    Corruption(JPEG, "quality", (85, 65, 40, 20, 10), leave),
    Corruption("rotation", "degrees", (1, 2, 5, 10, 20), rotate),
    Corruption("scale", "share of the width", (0.85, 0.7, 0.5, 0.35, 0.22), shrink),
    Corruption("crop_margin", "share of each side", (0.01, 0.02, 0.05, 0.1, 0.15), change_margin),
)


def corrupted_views(strongest: int = 5) -> list[CorruptedView]:
    """Every corruption at every strength up to `strongest`."""
    return [CorruptedView(each, strength) for each in CORRUPTIONS for strength in range(1, strongest + 1)]


def _sign(draw: np.random.Generator) -> float:
    return 1.0 if draw.random() < 0.5 else -1.0


def _clip(pixels: np.ndarray) -> Pixels:
    clipped: Pixels = pixels.clip(0, 255).astype(np.float32)
    return clipped
