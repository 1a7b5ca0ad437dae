"""What may be configured, as frozen types: one class a stage, ranges in the types.

Nothing here touches disk or network, and importing it imports no ML library.
A field of `Settings` has the name of its stage in dvc.yaml and of its section in params.yaml.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from cnnClassifier.config.data import DataAuditConfig, DataIngestionConfig
from cnnClassifier.config.section import Fraction, Section

# --- prepare_base_model -------------------------------------------------------------------


class PreprocessingSpec(Section):
    """How bytes become pixels. Saved inside every model; see `preprocessing.preprocess`.

    `size` is the side of the square output in pixels, `contrast` a pair of percentiles
    stretched to 0-255 (null: leave as is), `crop_margin` a share of the body's box added on
    each side.
    """

    size: int = Field(default=224, ge=16, le=1024)
    channels: Literal["grey", "rgb"] = "grey"
    body_crop: bool = True
    crop_margin: float = Field(default=0.0, ge=0, le=0.5)
    contrast: tuple[float, float] | None = (1.0, 99.0)
    resample: Literal["nearest", "box", "bilinear", "bicubic", "lanczos"] = "bilinear"

    @model_validator(mode="after")
    def _contrast_is_an_interval(self) -> "PreprocessingSpec":
        if self.contrast and not 0 <= self.contrast[0] < self.contrast[1] <= 100:
            raise ValueError(f"contrast must be two rising percentiles in 0-100. Received: {self.contrast}")
        return self


class HeadConfig(Section):
    """What stands on the backbone: pooling to a vector, then a small classifier.

    `grid` is the n of n x n cells for pooling "grid" (mean of each cell).
    """

    pooling: Literal["mean", "max", "grid"] = "mean"
    grid: int = Field(default=2, ge=1, le=8)
    hidden_units: int = Field(default=0, ge=0, le=8192)
    dropout: Fraction = 0.0


class PrepareBaseModelConfig(Section):
    """Which network, with which weights, cut where.

    `weights`: "imagenet", "none" or a path to a .weights.h5 file. `freeze`: "all" (train only the head),
    "none" (train everything) or the name of the last layer that stays frozen.
    """

    seed: int
    backbone: str
    weights: str = "imagenet"
    freeze: str = "all"
    head: HeadConfig = HeadConfig()
    preprocessing: PreprocessingSpec = PreprocessingSpec()


# --- training -----------------------------------------------------------------------------


class AugmentationConfig(Section):
    """Random views of a training image; `views` is how many are made beside the image itself.

    Rotation in degrees; zoom, shift, brightness and contrast as a share of 1, each the largest
    change in either direction.
    """

    views: int = Field(default=0, ge=0, le=64)
    rotation: float = Field(default=10.0, ge=0, le=180)
    zoom: Fraction = 0.1
    shift: Fraction = 0.05
    horizontal_flip: bool = True
    brightness: Fraction = 0.1
    contrast: Fraction = 0.1


class TrainingConfig(Section):
    """How the trainable part is fitted.

    `validation` is the share of the train+valid groups held out for early stopping; with `refit` the
    model is then trained again on all of them, for the number of epochs that was best.
    """

    seed: int
    epochs: PositiveInt
    batch_size: PositiveInt
    learning_rate: Annotated[float, Field(gt=0)]
    weight_decay: float = Field(default=0.0, ge=0)
    label_smoothing: Fraction = 0.0
    class_weights: Literal["balanced", "none"] = "balanced"
    validation: Annotated[float, Field(gt=0, lt=0.5)] = 0.15
    patience: PositiveInt = 10
    refit: bool = False
    augmentation: AugmentationConfig = AugmentationConfig()


# --- evaluation, registration -------------------------------------------------------------


class EvaluationConfig(Section):
    """How test results are reported: `resamples` bootstrap draws for each interval at `confidence`."""

    seed: int
    resamples: int = Field(default=1000, ge=100)
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95


class RegistrationConfig(Section):
    """Under which name a model is registered and when it becomes champion.

    `metric` is `<protocol>.<metric>` of metrics.json; the challenger must beat the champion by more
    than `margin`. `tolerance` is the largest allowed |ONNX - Keras| probability on real images.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    description: str
    metric: str = "published.balanced_accuracy"
    margin: float = Field(default=0.0, ge=0, lt=1)
    tolerance: Annotated[float, Field(gt=0)] = 1e-4


class Settings(Section):
    """params.yaml: one section a stage, in pipeline order."""

    data_ingestion: DataIngestionConfig
    data_audit: DataAuditConfig
    prepare_base_model: PrepareBaseModelConfig
    training: TrainingConfig
    evaluation: EvaluationConfig
    registration: RegistrationConfig


# --- config/config.yaml -------------------------------------------------------------------


class Paths(Section):
    """Where each stage reads and writes, relative to the project's root. dvc.yaml reads the same values."""

    images: Path
    manifest: Path
    rejected: Path
    classes: Path
    lesion_masks: Path
    audited_manifest: Path
    audit: Path
    base_model: Path
    model: Path
    history: Path
    training_plots: Path
    tensorboard: Path
    predictions: Path
    metrics: Path
    evaluation_plots: Path
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
    """The web app: where it listens, which registry alias it serves, what it accepts."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=1, le=65535)
    threads: PositiveInt = 4
    alias: str = "champion"
    max_upload_mb: PositiveInt = 16
    max_megapixels: PositiveInt = 64


class ProjectConfig(Section):
    """config/config.yaml: where things live; nothing an experiment would change."""

    paths: Paths
    tracking: TrackingConfig
    serving: ServingConfig
