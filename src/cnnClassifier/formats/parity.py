"""Whether two files of one model say the same of real images."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from cnnClassifier.config.network import PreprocessingSpec
from cnnClassifier.config.section import Section
from cnnClassifier.errors import DataError, ImageError, ModelError
from cnnClassifier.formats.reading import Floats, Run
from cnnClassifier.preprocessing import preprocess


class Parity(Section):
    """The largest difference over so many images: of any probability, and of any feature as a share of the image's
    largest one.
    """

    images: int
    probability: float
    feature: float

    @property
    def largest(self) -> float:
        """The larger of both; not a number where either is none."""
        return float(np.max([self.probability, self.feature]))


def compare(one: Run, other: Run, images: Iterable[Path], spec: PreprocessingSpec) -> Parity:
    """Ask both of every image file. DataError if there is none, ImageError that names one that is no picture."""
    differences = [_differences(one, other, _pixels(file, spec)) for file in images]
    if not differences:
        raise DataError("no image to compare the exported model on; name a folder of some by --images")
    # Unlike Python's max, NumPy's is not a number where any difference is none.
    probability, feature = np.max(differences, axis=0).tolist()
    return Parity(images=len(differences), probability=probability, feature=feature)


def check(parity: Parity, tolerance: float, title: str) -> None:
    """ModelError if the largest difference is more than the tolerance, or not a number."""
    if not parity.largest <= tolerance:
        raise ModelError(
            f"{title} differs from the model it was made of by {parity.probability:.2g} in a probability and "
            f"{parity.feature:.2g} in a feature, more than {tolerance:.2g} (registration.tolerance), on "
            f"{parity.images} images; nothing was exported"
        )


def _pixels(file: Path, spec: PreprocessingSpec) -> Floats:
    try:
        return preprocess(file.read_bytes(), spec)[np.newaxis]
    except ImageError as error:
        raise ImageError(f"{file}: {error}") from None


def _differences(one: Run, other: Run, pixels: Floats) -> tuple[float, float]:
    (probabilities, features), (others, other_features) = one(pixels), other(pixels)
    largest = max(float(np.abs(other_features).max()), float(np.finfo(np.float32).tiny))
    return float(np.abs(probabilities - others).max()), float(np.abs(features - other_features).max()) / largest
