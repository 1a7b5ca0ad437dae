"""Images of other kinds to try the outlier detector on: photographs, plots and documents, drawn or cut out by seed.

They come with the libraries or are drawn here, so nothing is fetched; the detector is measured on them, never fitted.
"""

import io
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from matplotlib import get_data_path
from matplotlib.figure import Figure
from numpy.random import Generator, default_rng
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_sample_images

WORDS = [
    "a",
    "the",
    "of",
    "and",
    "image",
    "report",
    "patient",
    "value",
    "is",
    "not",
    "in",
    "for",
    "table",
    "total",
    "page",
]
SMALLEST_CROP = 0.3  # of a photograph's shorter side
PAGE = (620, 877)  # A4 at 75 dots an inch


def probes(each: int, seed: int) -> dict[str, list[bytes]]:
    """`each` encoded pictures (PNG) of every kind, by the kind's name; the same for the same seed."""
    kinds: Sequence[Callable[[Generator], Image.Image]] = (photograph, plot, document)
    return {
        f"{draw.__name__}s": [_png(draw(default_rng([seed, number, kind]))) for number in range(each)]
        for kind, draw in enumerate(kinds)
    }


def photograph(random: Generator) -> Image.Image:
    """A square cut out of a temple, a flower or a portrait, mirrored or not, in colour or grey."""
    image = Image.fromarray(_photographs()[random.integers(3)])
    side = int(random.uniform(SMALLEST_CROP, 1) * min(image.size))
    left, top = (int(random.integers(length - side + 1)) for length in image.size)
    cut = image.crop((left, top, left + side, top + side))
    if random.random() < 0.5:
        cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return cut.convert("L") if random.random() < 0.5 else cut


def plot(random: Generator) -> Image.Image:
    """Lines, bars, dots or a heat map of random numbers, with axes, on white or on black."""
    dark = random.random() < 0.25
    figure = Figure(figsize=(5, 4), dpi=80, facecolor="black" if dark else "white")
    axes = figure.add_subplot(facecolor="black" if dark else "white", title=_sentence(random, 3))
    _DRAWINGS[int(random.integers(len(_DRAWINGS)))](axes, random)
    for text in (axes.title, *axes.get_xticklabels(), *axes.get_yticklabels()):
        text.set_color("white" if dark else "black")
    encoded = io.BytesIO()
    figure.savefig(encoded, format="png")
    return Image.open(encoded).convert("RGB")


def document(random: Generator) -> Image.Image:
    """A printed page: a heading, paragraphs, here and there a table; or a part of it, as a screen shows."""
    page = Image.new("RGB", PAGE, "white")
    pen = ImageDraw.Draw(page)
    pen.text((50, 40), _sentence(random, 4), "black", ImageFont.load_default(28))
    size = int(random.integers(10, 18))
    for top in range(100, PAGE[1] - 60, size + 6):
        if random.random() < 0.9:  # else an empty line
            pen.text((50, top), _sentence(random, 1000 // (7 * size)), "black", ImageFont.load_default(size))
    if random.random() < 0.4:
        _draw_table(pen, top=int(random.integers(100, 600)))
    return page if random.random() < 0.5 else page.crop((0, 0, PAGE[0], int(random.integers(200, 600))))


@cache
def _photographs() -> tuple[NDArray[np.uint8], ...]:
    with Image.open(Path(get_data_path(), "sample_data", "grace_hopper.jpg")) as portrait:
        return (*load_sample_images().images, np.asarray(portrait.convert("RGB")))


_DRAWINGS: Sequence[Callable[..., object]] = (
    lambda axes, random: axes.plot(random.normal(size=(40, 3)).cumsum(axis=0)),
    lambda axes, random: axes.bar(range(8), random.random(8), color="tab:blue"),
    lambda axes, random: axes.scatter(*random.normal(size=(2, 80)), c=random.random(80)),
    lambda axes, random: axes.imshow(random.random((8, 8)), aspect="auto"),
)


def _draw_table(pen: ImageDraw.ImageDraw, top: int) -> None:
    pen.rectangle((50, top, 570, top + 200), "white", "black")
    for row in range(top, top + 200, 25):
        pen.line((50, row, 570, row), "black")
    for column in range(50, 570, 104):
        pen.line((column, top, column, top + 200), "black")


def _sentence(random: Generator, words: int) -> str:
    return " ".join(random.choice(WORDS, words)).capitalize()


def _png(image: Image.Image) -> bytes:
    encoded = io.BytesIO()
    image.save(encoded, "PNG")
    return encoded.getvalue()
