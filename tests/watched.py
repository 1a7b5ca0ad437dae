"""Drawn patients: what a model says and what can be measured of their images, alike within a patient."""

import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnnClassifier.monitoring.drift import Window
from cnnClassifier.monitoring.entries import Entry, read_log
from cnnClassifier.monitoring.properties import PROPERTIES
from cnnClassifier.monitoring.reference import TrainingReference, build_reference
from cnnClassifier.monitoring.writer import LogWriter, Rotation

FEATURES, LIMIT = 12, 4.0
NAMES = ("a", "b", "c")
KEEP_ALL = Rotation()


@dataclass(frozen=True)
class Images:
    """Images of some patients."""

    groups: list[str]
    features: np.ndarray
    probabilities: np.ndarray
    distances: np.ndarray
    properties: np.ndarray


def draw(patients: int, seed: int, noisier: float = 0.0) -> Images:
    """Images of so many new patients; `noisier` moves one property of each by so many deviations."""
    random = np.random.default_rng(seed)
    sizes = random.integers(1, 10, patients)
    groups = [f"p{seed}-{number}" for number, size in enumerate(sizes) for _ in range(size)]
    shared = np.repeat(np.arange(patients), sizes)

    def alike(columns: int) -> np.ndarray:
        """Two thirds of the variance between patients, one within."""
        between = random.normal(size=(patients, columns))[shared]
        return np.sqrt(2 / 3) * between + np.sqrt(1 / 3) * random.normal(size=(len(groups), columns))

    powers = np.exp(alike(len(NAMES)))
    properties = 100 + 10 * alike(len(PROPERTIES))
    properties[:, PROPERTIES.index("noise")] += 10 * noisier
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    return Images(groups, alike(FEATURES), probabilities, np.abs(alike(1)[:, 0]), properties)


TRAINED = draw(60, seed=0)


def reference_of(images: Images) -> TrainingReference:
    return build_reference(
        images.features, images.groups, images.probabilities, images.distances, images.properties, seed=0
    )


def window_of(images: Images, reference: TrainingReference) -> Window:
    return Window(
        images.probabilities,
        images.distances,
        reference.axes.project(images.features),
        images.properties,
        images.distances > LIMIT,
    )


def entries_of(images: Images, reference: TrainingReference, model: str = "drawn", version: str = "1") -> list[Entry]:
    window = window_of(images, reference)
    return [
        Entry(
            time=time.time(),
            request_id=f"r{number}",
            item=0,
            model=model,
            version=version,
            state="refused" if window.refused[number] else "answer",
            label=None if window.refused[number] else NAMES[int(probabilities.argmax())],
            probabilities=dict(zip(NAMES, map(float, probabilities), strict=True)),
            distance=float(window.distances[number]),
            components=tuple(map(float, window.components[number])),
            properties=tuple(map(float, window.properties[number])),
            sha256=f"{number:064}",
        )
        for number, probabilities in enumerate(window.probabilities)
    ]


def write_log(path: Path, entries: list[Entry], rotation: Rotation = KEEP_ALL) -> Path:
    """A log as serving writes it."""
    writer = LogWriter(path, rotation)
    for entry in entries:
        writer.put(entry)
    writer.close()
    assert not writer.lost.total()
    return path


def rows(path: Path) -> list[tuple]:
    """Whose answers a log holds, in order: request and item."""
    with closing(read_log(path)) as log:
        return log.execute("SELECT request_id, item FROM predictions ORDER BY id").fetchall()
