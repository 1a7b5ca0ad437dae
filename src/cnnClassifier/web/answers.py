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
    """`POST /predict`: the answer and every class's calibrated probability, in the model's order.

    `label` is null where the model abstains (a person should look) or refuses (not its kind of image);
    `prediction_set` is what the image may be, and `changes` says in words which rule changed the answer.
    """

    state: Literal["answer", "abstained", "refused"]
    label: str | None
    confidence: float
    probabilities: dict[str, float]
    prediction_set: tuple[str, ...]
    changes: tuple[str, ...]
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
    """`GET /ready` once the model answered its self-test; `model_card`: does `GET /model-card` have one?"""

    status: Literal["ready"] = "ready"
    model: str
    version: str
    classes: tuple[str, ...]
    description: str
    model_card: bool
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
            model_card=classifier.card.is_file(),
            synthetic=spec.synthetic,
        )


class Problem(Message):
    """Every error, as an RFC 9457 problem document; `detail` and `advice` are for people."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    advice: str | None = None
