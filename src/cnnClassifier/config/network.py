"""What may be configured of a network: how bytes become its input, and what stands on its backbone."""

from typing import Annotated, Literal

from pydantic import AliasChoices, Field, model_validator

from cnnClassifier.config.section import Fraction, Section


class PreprocessingSpec(Section):
    """How bytes become pixels. Saved inside every model; see `preprocessing.preprocess`.

    `image_size` is the side of the square output in pixels, `contrast` a pair of percentiles
    stretched to 0-255 (null: leave as is), `crop_margin` a share of the body's box added on
    each side. `stain` gives slides of tissue (H&E) the colours of one reference: see `stain.normalise_stain`.
    """

    # "size" in packages of before November 2026.
    image_size: int = Field(default=224, ge=16, le=1024, validation_alias=AliasChoices("image_size", "size"))
    channels: Literal["grey", "rgb"] = "grey"
    body_crop: bool = True
    crop_margin: float = Field(default=0.0, ge=0, le=0.5)
    contrast: tuple[float, float] | None = (1.0, 99.0)
    resample: Literal["nearest", "box", "bilinear", "bicubic", "lanczos"] = "bilinear"
    stain: Literal["none", "reinhard", "macenko"] = "none"

    @model_validator(mode="after")
    def _stains_have_colours(self) -> "PreprocessingSpec":
        if self.stain != "none" and self.channels == "grey":
            raise ValueError(f"`stain: {self.stain}` needs `channels: rgb`")
        return self

    @model_validator(mode="after")
    def _contrast_is_an_interval(self) -> "PreprocessingSpec":
        if self.contrast and not 0 <= self.contrast[0] < self.contrast[1] <= 100:
            raise ValueError(f"contrast must be two rising percentiles in 0-100. Received: {self.contrast}")
        return self


class PoolConfig(Section):
    """How activations (height, width, channels) become a vector.

    "mean" and "max" go over the whole map. "grid" is the mean of each of `grid` x `grid` cells, "deviation" the
    standard deviation over each of them: what varies within a cell says more of texture than its mean does. "flatten"
    keeps every place's channels: height x width x channels features.
    """

    pooling: Literal["mean", "max", "grid", "deviation", "flatten"] = "mean"
    grid: int = Field(default=2, ge=1, le=8)


class LayerPoolConfig(PoolConfig):
    """Pooling of an inner layer of the backbone, by its name."""

    layer: str


Units = Annotated[int, Field(ge=0, le=8192)]


class HeadConfig(PoolConfig):
    """What stands on the backbone: pooling to a vector, then a small classifier.

    The vector is the pooled end of the backbone, followed by those of the layers in `also`. `hidden_units` is the
    size of one hidden ReLU layer (0: none), or a list of sizes, from the vector to the classes. `dropout` is the share
    left out of the vector while training, `hidden_dropout` that of each hidden layer, in order; none for those
    beyond the list.
    """

    also: tuple[LayerPoolConfig, ...] = ()
    hidden_units: Units | tuple[Annotated[int, Field(ge=1, le=8192)], ...] = 0
    dropout: Fraction = 0.0
    hidden_dropout: tuple[Fraction, ...] = ()

    @model_validator(mode="after")
    def _every_dropout_has_its_layer(self) -> "HeadConfig":
        if len(self.hidden_dropout) > len(self.hidden_layers):
            raise ValueError(
                f"hidden_dropout has {len(self.hidden_dropout)} shares for {len(self.hidden_layers)} hidden layers"
            )
        return self

    @property
    def hidden_layers(self) -> tuple[int, ...]:
        """The sizes of the hidden layers, from the vector to the classes; empty if there is none."""
        if isinstance(self.hidden_units, int):
            return (self.hidden_units,) if self.hidden_units else ()
        return self.hidden_units
