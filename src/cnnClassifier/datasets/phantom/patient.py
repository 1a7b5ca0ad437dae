"""One patient: anatomy, perhaps a tumour, and how the scan was taken; from there to pictures and masks."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cnnClassifier.datasets.phantom.anatomy import Anatomy, draw_anatomy, paint_chest
from cnnClassifier.datasets.phantom.imaging import (
    Acquisition,
    Picture,
    black_out_beyond_field,
    develop,
    draw_acquisition,
    fine_view,
    shift_frame,
    shrink,
)
from cnnClassifier.datasets.phantom.lesions import Lesion, paint_lesion
from cnnClassifier.datasets.phantom.pathology import CANCERS, draw_lesion

LEVELS = (-58.0, 6.0)  # mm below and above the carina: where the middle slice may lie
SPACINGS = (2.5, 6.0)  # mm between slices, where the tumour is large enough
SPAN_OF_LESION = 0.5  # the slices span at most this share of the tumour's diameter, so that all show it
NORMAL_DIAMETERS = (20.0, 60.0)  # spaces a normal patient's slices as if there were a tumour


@dataclass(frozen=True)
class Patient:
    """What a patient's slices show, at which heights (mm), and how they were scanned."""

    anatomy: Anatomy
    lesion: Lesion | None
    acquisition: Acquisition
    heights: tuple[float, ...]


@dataclass(frozen=True)
class Slice:
    """A picture (n, n) and the share of each pixel that tumour covers (n, n), None where there is none."""

    picture: Picture
    lesion: np.ndarray | None


def draw_patient(rng: np.random.Generator, kind: str, slices: int) -> Patient:
    """Draw a patient of a class (one of `pathology.CANCERS`, or anything else for no tumour)."""
    level = rng.uniform(*LEVELS)
    spacing = rng.uniform(*SPACINGS)
    anatomy = draw_anatomy(rng, (level - 9, level + 9))
    lesion = draw_lesion(rng, kind, anatomy, level) if kind in CANCERS else None
    diameter = lesion.diameter if lesion else rng.uniform(*NORMAL_DIAMETERS)
    span = min(spacing * (slices - 1), SPAN_OF_LESION * diameter, 18)
    heights = level + np.linspace(span / 2, -span / 2, slices) if slices > 1 else np.array([level])
    acquisition = draw_acquisition(rng, anatomy.wall.extent)
    return Patient(anatomy, lesion, acquisition, tuple(float(height) for height in heights))


def take_slices(patient: Patient, size: int, rng: np.random.Generator) -> Iterator[Slice]:
    """Scan a patient from head to foot: pictures of `size` pixels a side, each with its own noise."""
    for height in patient.heights:
        yield _take_slice(patient, height, size, rng)


def _take_slice(patient: Patient, height: float, size: int, rng: np.random.Generator) -> Slice:
    acquisition = shift_frame(patient.acquisition, rng)
    view = fine_view(acquisition, size)
    plane = view.plane(height)
    scene = paint_chest(plane, patient.anatomy)
    cover = paint_lesion(scene, patient.lesion) if patient.lesion else None
    black_out_beyond_field(scene.hu, plane, acquisition)
    picture = develop(scene.hu, acquisition, view.spacing, rng)
    return Slice(picture, None if cover is None else shrink(cover))
