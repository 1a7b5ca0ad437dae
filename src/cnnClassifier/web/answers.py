"""All that this app's API takes and gives, as types: its contract, from which the OpenAPI document is made."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator

from cnnClassifier import DISCLAIMER
from cnnClassifier.config.network import PreprocessingSpec
from cnnClassifier.decision import DecisionSpec
from cnnClassifier.inference import Classifier, Prediction

FARTHEST = 2**24  # from 0, of a window: up to there single precision knows every whole number
MODEL_NAME = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"


class Message(BaseModel):
    """A JSON body."""

    model_config = ConfigDict(frozen=True)


class ImageMessage(Message):
    """A JSON body with images and nothing else: which model, window and frame are asked for, the address says."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PredictRequest(ImageMessage):
    """One image as JSON: the file in base64, with or without a `data:...;base64,` prefix."""

    image: str


class BatchRequest(ImageMessage):
    """Several images, or a zip of them, as JSON: the files in base64."""

    images: Annotated[list[str], Field(min_length=1)]


class UrlRequest(ImageMessage):
    """An image that the server fetches, where `serving.url_hosts` allows its host."""

    url: str


class AskQuery(Message):
    """Which model is asked (default: the one that the server was started for), and how a DICOM file is looked at.

    Window centre and width are in Hounsfield units where the file has them and go together; without them: the
    file's own window, else one that fits its values. Other files ignore window and frame.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Annotated[str, Field(pattern=MODEL_NAME)] | None = None
    window_center: Annotated[float, Field(ge=-FARTHEST, le=FARTHEST, allow_inf_nan=False)] | None = None
    window_width: Annotated[float, Field(ge=1, le=2 * FARTHEST, allow_inf_nan=False)] | None = None
    frame: Annotated[int, Field(ge=0, le=100_000)] = 0

    @model_validator(mode="after")
    def _window_is_whole(self) -> "AskQuery":
        if (self.window_center is None) != (self.window_width is None):
            raise ValueError("window_center and window_width go together")
        return self


class ModelPath(Message):
    """A model's name in an address."""

    name: Annotated[str, Field(pattern=MODEL_NAME)]


class SamplePath(Message):
    """A sample's id in an address."""

    name: str


class BatchQuery(AskQuery):
    """`format=csv` gives a table instead of JSON."""

    format: Literal["json", "csv"] = "json"


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


class WindowAnswer(Message):
    """A display window, in Hounsfield units where the file has them."""

    center: float
    width: float


class DicomAnswer(Message):
    """What a DICOM file is, without anything of its patient: `frame` of `frames` was looked at, through `window`."""

    frames: int
    frame: int
    hounsfield: bool
    window: WindowAnswer | None


class PictureAnswer(Message):
    """The picture as it was read: pixels, and the part of them that the network was shown."""

    width: int
    height: int
    seen: tuple[int, int, int, int] = Field(description="top, bottom, left and right, in pixels of the picture")
    dicom: DicomAnswer | None = None


class Answer(PredictAnswer):
    """`POST /api/v1/predict`: the answer, what it is about, and the id under which the server's log has the request."""

    picture: PictureAnswer
    request_id: str
    answered_at: datetime


class MapAnswer(Message):
    """Where a class shows: a transparent PNG of the picture's shape as a `data:` URL, and its peak (row, column)."""

    overlay: str
    peak: tuple[int, int] | None


class ExplainAnswer(Message):
    """`POST /api/v1/explain`: the answer, and for each class the map of what speaks for it."""

    answer: Answer
    maps: dict[str, MapAnswer]


class Problem(Message):
    """Every error, as an RFC 9457 problem document; `detail` and `advice` are for people."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    advice: str | None = None


class BatchItem(Message):
    """One file of a batch: an answer, or the problem with it. `name` is what its sender called it."""

    index: int
    name: str
    answer: Answer | None = None
    problem: Problem | None = None


class BatchAnswer(Message):
    """Several files' answers, in their order; for a series of DICOM slices, in the order of their positions."""

    results: list[BatchItem]
    answered: int
    failed: int
    series: bool = Field(description="whether the files are the slices of one DICOM series")
    model: str
    version: str
    request_id: str
    disclaimer: str = DISCLAIMER


class OneOrMany(RootModel[Answer | BatchAnswer]):
    """One file's answer, or for several files an answer or a problem for each."""


class AgreementAnswer(Message):
    """How often readers agreed with a version: `agreed` of `judged` answers, with Wilson's 95 % interval of that share.

    `without_answer` more labels are of images that the model abstained from or refused.
    """

    agreed: int
    judged: int
    without_answer: int
    low: float | None
    high: float | None


class HealthAnswer(Message):
    """`GET /health`: the process is alive, whether or not it has a model."""

    status: Literal["alive"] = "alive"


class ReadyAnswer(Message):
    """`GET /ready` once the model answered its self-test; `model_card`: does `GET /model-card` have one?

    `notice` says what whoever runs the server should know: the registry is down, or a new champion is unfit.
    """

    status: Literal["ready"] = "ready"
    model: str
    version: str
    classes: tuple[str, ...]
    description: str
    model_card: bool
    synthetic: bool
    notice: str | None = None
    disclaimer: str = DISCLAIMER

    @classmethod
    def of(cls, classifier: Classifier, notice: str | None = None) -> "ReadyAnswer":
        """What is being served."""
        spec = classifier.spec
        return cls(
            model=classifier.name,
            version=classifier.version,
            classes=spec.classes,
            description=spec.description,
            model_card=classifier.card.is_file(),
            synthetic=spec.synthetic,
            notice=notice,
        )


class VersionAnswer(Message):
    """A registered version; `aliases` such as champion and challenger, `gate` what the gate said of it.

    `promoted` is why somebody made it champion, whatever the gate said.
    """

    version: str
    aliases: list[str]
    gate: str | None = None
    promoted: str | None = None


class ModelAnswer(Message):
    """`GET /api/v1/models/<name>`: what a model tells apart, how it decides, and its versions in the registry."""

    name: str
    served: str | None = Field(description="the version that answers here; null until the model is asked for")
    classes: tuple[str, ...] = ()
    description: str = ""
    backbone: str = ""
    synthetic: bool = False
    explains: bool = False
    decision: DecisionSpec | None = None
    preprocessing: PreprocessingSpec | None = None
    card: str | None = Field(default=None, description="address of the model card")
    versions: list[VersionAnswer] = []
    agreement: AgreementAnswer | None = Field(default=None, description="null where readers are not asked")
    disclaimer: str = DISCLAIMER


class ModelsAnswer(Message):
    """`GET /api/v1/models`: the models that may be asked."""

    models: list[ModelAnswer]
    disclaimer: str = DISCLAIMER


class SampleAnswer(Message):
    """A picture to try: its address, its true class, and what it is."""

    id: str
    label: str
    kind: Literal["drawn", "test set"]
    url: str


class SamplesAnswer(Message):
    """`GET /api/v1/samples`."""

    samples: list[SampleAnswer]
