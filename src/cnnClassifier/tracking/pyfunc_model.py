"""The code that MLflow runs to load a registered model; nothing else imports this file.

It is copied into the model, so it may import only what `packaging.REQUIREMENTS` names.
"""

import base64
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd  # type: ignore[import-untyped]
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from cnnClassifier.errors import DataError
from cnnClassifier.inference import Classifier, Prediction

# No model knows its version when it is saved; MLflow writes it here when it fetches one from the registry.
REGISTERED_AS = "registered_model_meta"
UNREGISTERED = "unregistered"

# Spark sets it to the cores of a task: without it, each of an executor's tasks would take all of the machine's.
THREADS = "OMP_NUM_THREADS"

# Empty where there is nothing to say, as MLflow's Spark function makes the word "nan" of a missing text.
NO_TEXT = ("label", "prediction_set", "changes", "error")


class ImageClassifier(PythonModel):  # type: ignore[misc]  # mlflow is untyped to mypy
    """A table with a column `image` (encoded bytes, or their base64 text) in; a table of answers out.

    One that cannot be read has a row that says so: a job over a million files does not end at the first broken one.
    """

    def load_context(self, context: Any) -> None:
        """Load the served package that was saved as an artifact."""
        package = Path(context.artifacts["package"])
        threads = os.environ.get(THREADS, "")
        self.classifier = Classifier.load(
            package, *registered_as(package.parents[1] / REGISTERED_AS), int(threads) if threads.isdecimal() else None
        )

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:  # noqa: ARG002
        """Classify each row's image."""
        rows = [self._row(image) for image in model_input["image"]]
        return pd.DataFrame(rows, columns=columns_of(self.classifier.spec.classes))

    def _row(self, image: object) -> dict[str, Any]:
        try:
            return as_row(self.classifier.classify(as_bytes(image)))
        except DataError as error:
            said = {"state": "error", "error": str(error)}
            named = {"model": self.classifier.name, "version": self.classifier.version}
            return {**dict.fromkeys(NO_TEXT, ""), **said, **named}


def columns_of(classes: Sequence[str]) -> list[str]:
    """The columns of the model's signature."""
    probabilities = [f"probability_{name}" for name in classes]
    decided = ["label", "confidence", "state", "prediction_set", "changes", "error"]
    return [*decided, *probabilities, "model", "version"]


def registered_as(file: Path) -> tuple[str, str]:
    """Name and version under which a model was fetched; "unregistered" for one loaded from a plain folder."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return UNREGISTERED, UNREGISTERED
    # Two lines of YAML written by MLflow, each `key: value`; the value may stand in quotes.
    fields = {key: value.strip().strip("'\"") for key, _, value in (line.partition(":") for line in lines)}
    return fields["model_name"], fields["model_version"]


def as_bytes(image: object) -> bytes:
    """JSON cannot hold bytes: base64 text stands for them, with or without a data URL's head. DataError for neither."""
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if not isinstance(image, str):
        raise DataError(f"column `image` must hold bytes or base64 text. Received: {type(image).__name__}")
    try:
        return base64.b64decode("".join(image.rpartition(",")[2].split()), validate=True)
    except ValueError as error:
        raise DataError(f"column `image` holds text that is not base64: {error}") from None


def as_row(prediction: Prediction) -> dict[str, str | float]:
    """One answer in the columns of the model's signature."""
    probabilities = {f"probability_{name}": value for name, value in prediction.probabilities.items()}
    return {
        "label": prediction.label or "",
        "confidence": prediction.confidence,
        "state": prediction.state,
        "prediction_set": ", ".join(prediction.prediction_set),
        "changes": "; ".join(prediction.changes),
        "error": "",
        **probabilities,
        "model": prediction.model,
        "version": prediction.version,
    }


set_model(ImageClassifier())
