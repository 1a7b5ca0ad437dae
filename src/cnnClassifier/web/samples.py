"""Pictures to try: of the test split where the served model's own data is here, else drawn ones."""

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Literal

import numpy as np
from flask import url_for

from cnnClassifier.audit.copies import copies_of_training
from cnnClassifier.audit.pairs import read_pairs
from cnnClassifier.config.types import Paths
from cnnClassifier.datasets.manifest import read_classes, read_dealt
from cnnClassifier.datasets.phantom.pathology import CANCERS
from cnnClassifier.datasets.phantom.patient import draw_patient, take_slices
from cnnClassifier.errors import CnnClassifierError
from cnnClassifier.preprocessing import decode
from cnnClassifier.web.answers import SampleAnswer, SamplesAnswer
from cnnClassifier.web.models import Models
from cnnClassifier.web.pictures import as_png

OF_A_CLASS = 2  # pictures
DRAWN = (*CANCERS, "normal")  # the classes that a phantom can show
DRAWN_SIDE, SEED = 384, 2026
Kind = Literal["drawn", "test set"]


class NoSuchSampleError(CnnClassifierError):
    """There is no picture to try of that id."""


@dataclass(frozen=True)
class Sample:
    """A picture to try: its true class, and a function that gives it as a PNG."""

    label: str
    kind: Kind
    png: Callable[[], bytes]


class Samples:
    """The samples for the default model, found when first asked for and again for another model."""

    def __init__(self, models: Models, paths: Paths | None) -> None:
        self._models = models
        self._paths = paths
        self._found: dict[str, Sample] = {}
        self._classes: tuple[str, ...] = ()

    def answer(self) -> SamplesAnswer:
        """What there is, in a request, whose addresses they have; nothing until there is a model."""
        return SamplesAnswer(
            samples=[
                SampleAnswer(id=name, label=each.label, kind=each.kind, url=url_for("api.sample", name=name))
                for name, each in self._look().items()
            ]
        )

    def png(self, name: str) -> bytes:
        """One picture; NoSuchSampleError if there is none of that id."""
        if (sample := self._look().get(name)) is None:
            raise NoSuchSampleError(f"there is no sample {name!r}; GET /api/v1/samples lists them")
        return sample.png()

    def _look(self) -> dict[str, Sample]:
        classes = next((classifier.spec.classes for classifier in self._models.loaded()), ())
        if classes != self._classes:
            self._found = find_samples(self._paths, classes)
            self._classes = classes
        return self._found


def find_samples(paths: Paths | None, classes: tuple[str, ...]) -> dict[str, Sample]:
    """Samples by id for a model of these classes: test images that are here, else drawn ones if they can be drawn."""
    return (_of_test_set(paths, classes) if paths else {}) or _drawn(classes)


def _of_test_set(paths: Paths, classes: tuple[str, ...]) -> dict[str, Sample]:
    """Test images whose picture is not, as any copy, in training; none if another experiment's data lies here."""
    if not all(file.is_file() for file in (paths.manifest, paths.audited_manifest, paths.pairs)):
        return {}
    records = read_dealt(paths.manifest, paths.audited_manifest)
    if {record.label for record in records} != set(classes):
        return {}
    kind: Kind = "drawn" if read_classes(paths.classes).synthetic else "test set"
    copies = copies_of_training(records, read_pairs(paths.pairs))
    by_class: defaultdict[str, list[Path]] = defaultdict(list)
    for record in records:
        if record.split == "test" and record.id not in copies:
            by_class[record.label].append(paths.images / record.path)
    chosen = random.Random(SEED)  # noqa: S311
    picked = {label: chosen.sample(files, min(OF_A_CLASS, len(files))) for label, files in sorted(by_class.items())}
    return {
        f"test-{label}-{number}": Sample(label, kind, partial(_read, file))
        for label, files in picked.items()
        for number, file in enumerate(files, 1)
    }


def _drawn(classes: tuple[str, ...]) -> dict[str, Sample]:
    if not set(classes) <= set(DRAWN):
        return {}
    return {
        f"drawn-{label}-{number}": Sample(label, "drawn", partial(_draw, label, number))
        for label in classes
        for number in range(1, 1 + OF_A_CLASS)
    }


def _read(file: Path) -> bytes:
    return as_png(decode(file.read_bytes()))


@lru_cache(maxsize=32)
def _draw(label: str, number: int) -> bytes:
    rng = np.random.default_rng((SEED, DRAWN.index(label), number))
    (drawn,) = take_slices(draw_patient(rng, label, 1), DRAWN_SIDE, rng)
    return as_png(drawn.picture[..., None].astype(np.float32))
