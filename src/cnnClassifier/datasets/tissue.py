"""Drawn stand-ins for the two slide data sets that cannot be shipped. SYNTHETIC: they say nothing about patients.

    python -m cnnClassifier.datasets.tissue mhist data/mhist
    python -m cnnClassifier.datasets.tissue histopathology data/histopathology

`mhist` gives images/ and annotations.csv with MHIST's columns, `histopathology` two class folders. Every file name says
"synthetic", and a hidden mark in the folder makes ingestion call the data synthetic, too. The same seed draws the same.
"""

import argparse
import csv
import sys
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from cnnClassifier.datasets.synthetic import write_mark

SIDE = 224  # MHIST's
ANNOTATORS = 7
TEST_SHARE = 0.3
TILES_OF_A_PATIENT = 3
COLUMNS = ("Image Name", "Majority Vote Label", "Number of Annotators who Selected SSA (Out of 7)", "Partition")
LIGHT = 240.0
STAINS = np.array([[0.65, 0.70, 0.29], [0.17, 0.92, 0.35]])  # optical density of haematoxylin and of eosin, RGB

Layer = NDArray[np.float64]


@dataclass(frozen=True)
class Tissue:
    """How a tile is built. Lengths in pixels; `serration`, `lumen` and `variation` as shares of a radius."""

    glands: float
    gland_radius: float
    serration: float  # how far a gland's border goes in and out
    lumen: float  # of a gland's radius
    nuclei: float  # loose ones, beside those that line the glands
    nucleus_radius: float
    variation: float  # deviation of a nucleus's size

    def towards(self, other: "Tissue", share: float) -> "Tissue":
        """A tissue between this one (0) and another (1)."""
        return Tissue(*(a + share * (b - a) for a, b in zip(astuple(self), astuple(other), strict=True)))


HYPERPLASTIC = Tissue(9, 26, 0.06, 0.35, 60, 3.0, 0.10)
SERRATED = Tissue(5, 38, 0.24, 0.68, 60, 3.4, 0.15)
BENIGN = Tissue(6, 30, 0.05, 0.50, 50, 3.0, 0.10)
MALIGNANT = Tissue(2, 24, 0.15, 0.25, 230, 4.6, 0.35)


def write_mhist(root: Path, tiles: int = 240, seed: int = 7) -> None:
    """Draw images/ and annotations.csv: between the two tissues lies what annotators disagree about."""
    (root / "images").mkdir(parents=True)
    write_mark(root / "images")
    rows = []
    for number in range(tiles):
        draw = np.random.default_rng([seed, number])
        share = draw.random()
        votes = int(draw.binomial(ANNOTATORS, 1 / (1 + np.exp(-10 * (share - 0.5)))))
        name = f"MHIST_synthetic_{number:04}.png"
        _save(draw_tile(HYPERPLASTIC.towards(SERRATED, share), _stains(draw), draw), root / "images" / name)
        label = "SSA" if votes > ANNOTATORS / 2 else "HP"
        rows.append((name, label, votes, "test" if draw.random() < TEST_SHARE else "train"))
    with (root / "annotations.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *rows])


def write_histopathology(root: Path, tiles: int = 240, seed: int = 7) -> None:
    """Draw benign/ and malignant/: some tiles a patient, each patient's slide stained a little otherwise."""
    for name in ("benign", "malignant"):
        (root / name).mkdir(parents=True)
    write_mark(root)
    for number in range(tiles):
        patient, tile = divmod(number, TILES_OF_A_PATIENT)
        label = ("benign", "malignant")[patient % 2]
        share = np.random.default_rng([seed, patient]).uniform(0, 0.4)
        share = share if label == "benign" else 1 - share
        stains = _stains(np.random.default_rng([seed, patient, 0]))
        picture = draw_tile(BENIGN.towards(MALIGNANT, share), stains, np.random.default_rng([seed, patient, 1 + tile]))
        _save(picture, root / label / f"synthetic_p{patient:04}_t{tile}.png")


def draw_tile(tissue: Tissue, stains: Layer, draw: np.random.Generator, side: int = SIDE) -> NDArray[np.uint8]:
    """A tile, RGB (side, side, 3); `stains` (2, 3) are the optical densities of haematoxylin and eosin."""
    blue, pink = (Image.new("F", (side, side), level) for level in (0.10, 0.55))
    for _ in range(round(tissue.glands)):
        _draw_gland(tissue, ImageDraw.Draw(blue), ImageDraw.Draw(pink), draw.uniform(0, side, 2), draw)
    for place in draw.uniform(0, side, (round(tissue.nuclei), 2)):
        _draw_nucleus(tissue, ImageDraw.Draw(blue), place, draw)
    amounts = np.stack([ndimage.gaussian_filter(np.asarray(layer, float), 0.8) for layer in (blue, pink)], axis=-1)
    grain = ndimage.gaussian_filter(draw.normal(size=(side, side, 2)), (2.0, 2.0, 0)) * 1.2
    seen = LIGHT * np.exp(-(amounts * (1 + grain)).clip(0) @ stains)
    tile: NDArray[np.uint8] = (seen + draw.normal(0, 2, seen.shape)).clip(0, 255).astype(np.uint8)
    return tile


def _draw_gland(
    tissue: Tissue, blue: ImageDraw.ImageDraw, pink: ImageDraw.ImageDraw, centre: Layer, draw: np.random.Generator
) -> None:
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    waves = np.cos(draw.integers(5, 10) * angle + draw.uniform(0, 7))
    outline = tissue.gland_radius * draw.uniform(0.8, 1.2) * (1 + tissue.serration * waves)
    ring = centre + outline[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    lumen = centre + (ring - centre) * tissue.lumen
    for layer, inside, hollow in ((pink, 0.8, 0.02), (blue, 0.12, 0.0)):
        layer.polygon([tuple(point) for point in ring], fill=inside)
        layer.polygon([tuple(point) for point in lumen], fill=hollow)
    for place in ring[::3]:
        _draw_nucleus(tissue, blue, place, draw)


def _draw_nucleus(tissue: Tissue, blue: ImageDraw.ImageDraw, place: Layer, draw: np.random.Generator) -> None:
    radius = tissue.nucleus_radius * np.exp(tissue.variation * draw.normal(size=2))
    blue.ellipse([*(place - radius), *(place + radius)], fill=draw.uniform(0.9, 1.5))


def _stains(draw: np.random.Generator) -> Layer:
    """The two stains as one laboratory makes them: a little stronger or weaker, and of a little another colour."""
    return STAINS * draw.uniform(0.75, 1.3, (2, 1)) * draw.uniform(0.9, 1.1, (2, 3))


def _save(pixels: NDArray[np.uint8], file: Path) -> None:
    Image.fromarray(pixels).save(file)


WRITERS = {"mhist": write_mhist, "histopathology": write_histopathology}


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw one of the data sets into a folder that is not there yet: drawn pictures never mix with real ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("system", choices=WRITERS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tiles", type=int, default=240)
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args(arguments)
    if asked.folder.exists():
        parser.error(f"{asked.folder} is there already; name a new folder, so that no real data is mixed in")
    WRITERS[asked.system](asked.folder, asked.tiles, asked.seed)
    print(f"{asked.folder}: {asked.tiles} SYNTHETIC tiles, drawn for trying the pipeline; no patient's")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
