"""What may be configured, as frozen types: one class a stage, ranges in the types.

Nothing here touches disk or network, and importing it imports no ML library.
A field of `Settings` has the name of its stage in dvc.yaml and of its section in params.yaml.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from cnnClassifier.config.data import DataAuditConfig, DataIngestionConfig
from cnnClassifier.config.judging import ComparedBy, OperatingConfig
from cnnClassifier.config.network import HeadConfig, PreprocessingSpec
from cnnClassifier.config.section import Fraction, Section, Seed

# --- prepare_base_model -------------------------------------------------------------------


class PrepareBaseModelConfig(Section):
    """Which network, with which weights, cut where.

    `weights`: "imagenet", "bundled" (those inside the released model), "none" or a path to a .weights.h5 file.
    `freeze`: "all" (train only the head), "none" (train everything) or the name of the last layer that stays frozen.
    `precision`: what the convolutions compute in, "float32" or "int8", three times faster; the head is then trained on
    what the network in eight bits says, and the same network is served. It takes a wholly frozen one.
    """

    seed: Seed
    backbone: str
    weights: str = "imagenet"
    freeze: str = "all"
    precision: Literal["float32", "int8"] = "float32"
    head: HeadConfig = HeadConfig()
    preprocessing: PreprocessingSpec = PreprocessingSpec()

    @property
    def weights_file(self) -> Path | None:
        """The file that `weights` is a path to; None for a name."""
        return None if self.weights in {"imagenet", "bundled", "none"} else Path(self.weights)

    @model_validator(mode="after")
    def _eight_bits_are_not_trained(self) -> "PrepareBaseModelConfig":
        if self.precision == "int8" and self.freeze != "all":
            raise ValueError(f"`precision: int8` is for a frozen network: it takes `freeze: all`, not {self.freeze!r}")
        return self


# --- training -----------------------------------------------------------------------------


class AugmentationConfig(Section):
    """Random views of a training image; `views` is how many are made beside the image itself.

    Rotation in degrees; zoom, shift, brightness and contrast as a share of 1, each the largest
    change in either direction; `noise` in grey levels of 255, the largest standard deviation.
    """

    views: int = Field(default=0, ge=0, le=64)
    rotation: float = Field(default=10.0, ge=0, le=180)
    zoom: Fraction = 0.1
    shift: Fraction = 0.05
    horizontal_flip: bool = True
    brightness: Fraction = 0.1
    contrast: Fraction = 0.1
    noise: float = Field(default=0.0, ge=0, le=64)


class BalancingConfig(Section):
    """More training examples for small classes, until each has as many as the largest.

    `method`: "none"; "oversample" repeats images; "smote" makes examples between the feature vectors of an image and
    one of its `neighbours` nearest of the same class, which takes a wholly frozen network; "pixel_smote" does the same
    between pictures, in memory. A class of fewer images than that takes all it has as neighbours.
    """

    method: Literal["none", "oversample", "smote", "pixel_smote"] = "none"
    neighbours: int = Field(default=5, ge=1, le=100)


class TrainingConfig(Section):
    """How the trainable part is fitted.

    `validation` is the share of the train+valid groups held out for early stopping; with `refit` the
    model is then trained again on all of them, for the number of epochs that was best. `folds` is how many parts
    the groups are dealt into for the out-of-fold predictions that `grouped_cv`, calibration and thresholds rest on.
    `group_weights`: within a class a group of n images counts as n ("none"), as its square root ("root") or as one
    ("equal"), since slices of one patient say much the same. With `soft_labels` an image is what its annotators' votes
    say, in shares of the classes (`data_ingestion.source.votes`), rather than its one label. `schedule`: the learning
    rate stays ("constant"), falls to nothing over all `epochs` ("cosine"), or is halved each time that validation has
    not improved for a third of `patience` ("plateau"); in the first `warmup` epochs it rises to what it is.
    `precision` is what the trainable part computes in while it learns; what is saved is float32.
    """

    seed: Seed
    epochs: PositiveInt
    batch_size: PositiveInt
    learning_rate: Annotated[float, Field(gt=0)]
    schedule: Literal["constant", "cosine", "plateau"] = "constant"
    warmup: int = Field(default=0, ge=0)
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    weight_decay: float = Field(default=0.0, ge=0)
    label_smoothing: Fraction = 0.0
    soft_labels: bool = False
    class_weights: Literal["balanced", "none"] = "balanced"
    group_weights: Literal["none", "root", "equal"] = "none"
    validation: Annotated[float, Field(gt=0, lt=0.5)] = 0.15
    patience: PositiveInt = 10
    refit: bool = False
    folds: int = Field(default=5, ge=2, le=20)
    balancing: BalancingConfig = BalancingConfig()
    augmentation: AugmentationConfig = AugmentationConfig()

    @model_validator(mode="after")
    def _made_examples_have_no_votes(self) -> "TrainingConfig":
        if self.soft_labels and self.balancing.method != "none":
            raise ValueError(f"`soft_labels` with `balancing.method: {self.balancing.method}`: use `class_weights`")
        return self


# --- evaluation, registration -------------------------------------------------------------


class EvaluationConfig(Section):
    """How results are reported, and how probabilities become answers.

    `resamples` bootstrap draws for each interval at `confidence`. `operating`: which classes count as disease and
    how few of them may be missed (null: the most probable class is the answer). `coverage` is how often the
    conformal set must hold the true class. `abstain` refers an image to a person: "never", or when the set holds
    several classes ("ambiguous"), or positive and other classes at once ("undecided"). `refused` is the share of
    this kind of image that the outlier detector may refuse.
    """

    seed: Seed
    resamples: int = Field(default=1000, ge=100)
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    operating: OperatingConfig | None = None
    coverage: Annotated[float, Field(gt=0.5, lt=1)] = 0.9
    abstain: Literal["never", "undecided", "ambiguous"] = "never"
    refused: Annotated[float, Field(gt=0, lt=0.5)] = 0.01

    @model_validator(mode="after")
    def _undecided_needs_positives(self) -> "EvaluationConfig":
        if self.abstain == "undecided" and self.operating is None:
            raise ValueError("`abstain: undecided` needs `operating.positive`, the classes that count as disease")
        return self


class RegistrationConfig(Section):
    """Under which name a model is registered and when it becomes champion.

    `metric` is `<protocol>.<metric>` of metrics.json; the challenger must beat the champion by more than `margin`,
    on the same images, with this `confidence` by a paired bootstrap over groups, and its calibration error, less what
    chance adds, must be at most `calibration_error`. `tolerance` is the largest allowed |ONNX - Keras| probability
    on real images. `intended_use`, `not_intended_use` and `data_source` are the model card's own words.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    description: str
    metric: ComparedBy = "grouped_cv.balanced_accuracy"
    margin: float = Field(default=0.0, ge=0, lt=1)
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    calibration_error: Annotated[float, Field(gt=0, le=1)] = 0.05
    tolerance: Annotated[float, Field(gt=0)] = 1e-4
    intended_use: str = "Research and education: comparing methods on images like those it learned from."
    not_intended_use: str = (
        "Diagnosis, triage, treatment or any other decision about a patient; images of another kind, from another "
        "source or of other people than those it learned from."
    )
    data_source: str = "As `data_ingestion.source` of the settings that are logged with the run says."


class Settings(Section):
    """params.yaml: one section a stage, in pipeline order."""

    data_ingestion: DataIngestionConfig
    data_audit: DataAuditConfig
    prepare_base_model: PrepareBaseModelConfig
    training: TrainingConfig
    evaluation: EvaluationConfig
    registration: RegistrationConfig

    @model_validator(mode="after")
    def _positives_are_classes(self) -> "Settings":
        if self.evaluation.operating:
            self.evaluation.operating.check_classes(self.data_ingestion.classes)
        return self


# --- config/config.yaml -------------------------------------------------------------------


class Paths(Section):
    """Where each stage reads and writes, relative to the project's root. dvc.yaml reads the same values."""

    source: Path
    images: Path
    manifest: Path
    rejected: Path
    classes: Path
    lesion_masks: Path
    audited_manifest: Path
    audit: Path
    audit_report: Path
    pairs: Path
    facts: Path
    base_model: Path
    model: Path
    history: Path
    out_of_fold: Path
    training_plots: Path
    tensorboard: Path
    predictions: Path
    metrics: Path
    evaluation_plots: Path
    robustness: Path
    decision: Path
    outliers: Path
    reference: Path
    model_card: Path
    package: Path
    registration: Path
    cache: Path
    work: Path


class TrackingConfig(Section):
    """Where runs and models are logged when the environment does not say (MLFLOW_TRACKING_URI wins)."""

    uri: str
    timeout_seconds: PositiveInt = 20
    retries: int = Field(default=2, ge=0)


class ServingConfig(Section):
    """The web app: where it listens, which registry alias it serves, what it accepts and how much at once.

    `released`: the folder of the model that comes with the code, served where nothing has the alias (null: none).
    `queue` requests are worked on at once, further ones refused; the threads beyond it are for refusing them and for
    everything else (`/health`, the page). `batch` images at most go through the network together. A request that
    waited `deadline_seconds` for the network is dropped. All requests together may bring `upload_memory_mb` at a time.
    `rate_limit` is for each client address (null: none). `max_files` is for a batch. Images are fetched from addresses
    that requests name only at `url_hosts` (host names, with a port if it is not the usual one), in `url_seconds`.
    `prediction_log` is an SQLite file (null: none is kept) that holds the newest `log_rows` answers of `log_days`;
    with `feedback` readers may correct them. When told to stop, requests have `grace_seconds` to be finished in.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=1, le=65535)
    threads: PositiveInt = 24
    queue: PositiveInt = 16
    batch: PositiveInt = 1
    deadline_seconds: Annotated[float, Field(gt=0)] = 20.0
    refresh_seconds: Annotated[float, Field(gt=0)] = 30.0
    rate_limit: str | None = Field(default=None, pattern=r"^[1-9]\d* per (second|minute|hour|day)$")
    logs: Literal["auto", "json", "plain"] = "auto"
    log_level: Literal["debug", "info", "warning", "error", "critical"] = "info"
    alias: str = "champion"
    released: Path | None = Path("models/chest_ct")
    max_upload_mb: PositiveInt = 16
    max_megapixels: PositiveInt = 64
    upload_memory_mb: PositiveInt = 256
    max_files: PositiveInt = 500
    url_hosts: tuple[str, ...] = ()
    url_seconds: Annotated[float, Field(gt=0)] = 10.0
    prediction_log: Path | None = None
    log_days: Annotated[float, Field(gt=0)] = 90.0
    log_rows: PositiveInt = 100_000
    feedback: bool = False
    grace_seconds: Annotated[float, Field(ge=0)] = 25.0

    @model_validator(mode="after")
    def _enough_for_the_limits(self) -> "ServingConfig":
        if self.threads <= self.queue:
            raise ValueError(f"`threads` must be more than `queue` ({self.queue}), or nobody can be refused")
        if self.upload_memory_mb < 2 * self.max_upload_mb:  # base64 takes a third more
            raise ValueError("`upload_memory_mb` must be at least twice `max_upload_mb`")
        if self.feedback and self.prediction_log is None:
            raise ValueError("`feedback` corrects what is in the `prediction_log`, and there is none")
        return self


class FeaturesConfig(Section):
    """The store of what frozen networks say of images; `limit_gb` is its size in 10^9 bytes, kept after each run."""

    limit_gb: Annotated[float, Field(gt=0)] = 20.0


class ProjectConfig(Section):
    """config/config.yaml: where things live; nothing an experiment would change."""

    paths: Paths
    tracking: TrackingConfig
    serving: ServingConfig
    features: FeaturesConfig = FeaturesConfig()
