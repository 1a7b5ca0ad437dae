"""Random views of a preprocessed image, each reproducible from a seed, the image and the view's number."""

import hashlib
import inspect
import math
import sys
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
from scipy import ndimage

from cnnClassifier.config.network import PreprocessingSpec
from cnnClassifier.config.types import AugmentationConfig
from cnnClassifier.preprocessing import Pixels, preprocess


class AnyView(Protocol):
    """A way to look at every image: `key` names it in the feature cache, `prepare` makes network input of a file."""

    @property
    def key(self) -> str:
        """Equal keys give equal pixels for equal images."""

    def prepare(self, data: bytes, spec: PreprocessingSpec, image_key: str) -> Pixels:
        """Network input (size, size, 3) of an encoded image; `image_key` is a hex digest that names it."""


@dataclass(frozen=True)
class View:
    """One way to look at every image: number 0 is the image itself, others are drawn per image."""

    number: int
    seed: int
    config: AugmentationConfig

    @property
    def key(self) -> str:
        """Names the view in the feature cache; the code that draws it is part of it, so an edit meets no older one."""
        if self.number == 0:
            return "plain"
        drawn = self.config.model_copy(update={"views": 0}).model_dump_json()
        return hashlib.sha256(f"{drawn}|{self.seed}|{self.number}|{code_digest(View)}".encode()).hexdigest()[:16]

    def prepare(self, data: bytes, spec: PreprocessingSpec, image_key: str) -> Pixels:
        """Network input made of an encoded image, in this view."""
        return self.apply(preprocess(data, spec), image_key)

    def apply(self, pixels: Pixels, image_key: str) -> Pixels:
        """The view of an image, shape kept; `image_key` is a hex digest that names the image."""
        if self.number == 0:
            return pixels
        draw = np.random.default_rng([self.seed, self.number, int(image_key[:16], 16)])
        return augment(pixels, self.config, draw)


@cache
def code_digest(kind: type) -> str:
    """Names the code of the module that a class comes from."""
    return hashlib.sha256(inspect.getsource(sys.modules[kind.__module__]).encode()).hexdigest()[:16]


def all_views(config: AugmentationConfig, seed: int) -> list[View]:
    """The image itself, then the configured number of random views."""
    return [View(number, seed, config) for number in range(config.views + 1)]


def augment(pixels: Pixels, config: AugmentationConfig, draw: np.random.Generator) -> Pixels:
    """Rotate, zoom, shift, mirror, change brightness and contrast, add noise; (height, width, 3) 0-255 in and out.

    What comes in from outside the frame is as black as 0 is after the change of brightness and contrast.
    """
    height, width = pixels.shape[:2]
    angle = math.radians(draw.uniform(-config.rotation, config.rotation))
    scale = 1 + draw.uniform(-config.zoom, config.zoom)
    shift = draw.uniform(-config.shift, config.shift, 2) * (height, width)
    mirror = -1.0 if config.horizontal_flip and draw.random() < 0.5 else 1.0
    cosine, sine = math.cos(angle) / scale, math.sin(angle) / scale
    # Output to input coordinates, about the centre.
    matrix = np.array([[cosine, sine], [-sine, cosine]]) * [1.0, mirror]
    centre = (np.array([height, width]) - 1) / 2
    offset = centre - matrix @ (centre + shift)
    gain = 1 + draw.uniform(-config.contrast, config.contrast)
    lift = 255 * draw.uniform(-config.brightness, config.brightness)
    moved = (_transform_channels(pixels, matrix, offset) - 127.5) * gain + 127.5 + lift
    if config.noise:
        # The same in all channels: grey stays grey.
        moved = moved + draw.normal(0, draw.uniform(0, config.noise), (height, width, 1))
    return moved.clip(0, 255).astype(np.float32)


def _transform_channels(pixels: Pixels, matrix: np.ndarray, offset: np.ndarray) -> Pixels:
    grey = np.array_equal(pixels[..., 0], pixels[..., 1]) and np.array_equal(pixels[..., 1], pixels[..., 2])
    channels = [
        ndimage.affine_transform(pixels[..., channel], matrix, offset, order=1, mode="constant")
        for channel in range(1 if grey else 3)
    ]
    return np.stack(channels * 3 if grey else channels, axis=-1)
