"""Everything this app's API takes and gives, as types: the one place to read its contract."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from cnnClassifier import DISCLAIMER
from cnnClassifier.inference import Classifier, Prediction


class Message(BaseModel):
    """A JSON body."""

    model_config = ConfigDict(frozen=True)


class PredictRequest(Message):
    """`POST /predict` as JSON: the file in base64, with or without a `data:...;base64,` prefix."""

    image: str


class PredictAnswer(Message):
    """`POST /predict`: the most probable class and every class's probability, in the model's order."""

    label: str
    confidence: float
    probabilities: dict[str, float]
    model: str
    version: str
    synthetic: bool
    disclaimer: str = DISCLAIMER

    @classmethod
    def of(cls, prediction: Prediction, synthetic: bool) -> "PredictAnswer":
        """The answer for one prediction."""
        return cls(**vars(prediction), synthetic=synthetic)


class HealthAnswer(Message):
    """`GET /health`: the process is alive, whether or not it has a model."""

    status: Literal["alive"] = "alive"


class ReadyAnswer(Message):
    """`GET /ready` once the model answered its self-test."""

    status: Literal["ready"] = "ready"
    model: str
    version: str
    classes: tuple[str, ...]
    description: str
    synthetic: bool
    disclaimer: str = DISCLAIMER

    @classmethod
    def of(cls, classifier: Classifier) -> "ReadyAnswer":
        """What is being served."""
        spec = classifier.spec
        return cls(
            model=classifier.name,
            version=classifier.version,
            classes=spec.classes,
            description=spec.description,
            synthetic=spec.synthetic,
        )


class Problem(Message):
    """Every error, as an RFC 9457 problem document; `detail` and `advice` are for people."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    advice: str | None = None
