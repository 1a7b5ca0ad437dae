"""What config/sweeps/<name>.yaml may say: which parameters of params.yaml, from which values, judged how."""

from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, PositiveInt, Tag, model_validator

from cnnClassifier.config.loading import read_yaml, validate
from cnnClassifier.config.section import Section, Seed
from cnnClassifier.errors import ConfigError

SWEEPS = Path("config/sweeps")

Metric = Literal["grouped_cv.balanced_accuracy", "grouped_cv.loss"]


def _written(number: float) -> Fraction:
    """A number as YAML has it: 0.1 is a tenth, which no float is."""
    return Fraction(str(number))


class Range(Section):
    """`low` to `high`, both included; `log`: every order of magnitude is as likely as another."""

    log: bool = False

    @model_validator(mode="after")
    def _rises(self) -> "Range":
        low, high, step = (getattr(self, name) for name in ("low", "high", "step"))
        if low >= high:
            raise ValueError(f"low must be below high, not {low} and {high}")
        if self.log and (low <= 0 or step != type(self).model_fields["step"].default):
            raise ValueError("a log range lies above 0 and has no step")
        if step is not None and (steps := (_written(high) - _written(low)) / _written(step)).denominator != 1:
            nearest = type(high)(_written(low) + max(1, round(steps)) * _written(step))
            raise ValueError(f"high is not reached from {low} in steps of {step}; the nearest that is: {nearest}")
        return self


class IntRange(Range):
    """Whole numbers, `step` apart."""

    kind: Literal["int"]
    low: int
    high: int
    step: PositiveInt = 1


class FloatRange(Range):
    """Any numbers, or those `step` apart."""

    kind: Literal["float"]
    low: Annotated[float, Field(allow_inf_nan=False)]
    high: Annotated[float, Field(allow_inf_nan=False)]
    step: Annotated[float, Field(gt=0)] | None = None


def _kind(value: Any) -> str | None:
    """Which of the three a YAML value is meant to be, so that a mistake in one is not reported three times."""
    if isinstance(value, list | tuple):
        return "choices"
    return value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)


Choices = Annotated[tuple[Any, ...], Field(min_length=1)]
Parameter = Annotated[
    Annotated[Choices, Tag("choices")] | Annotated[IntRange, Tag("int")] | Annotated[FloatRange, Tag("float")],
    Discriminator(
        _kind,
        custom_error_type="parameter",
        custom_error_message="expected a list of choices, or {kind: int or float, low: ..., high: ...}",
    ),
]


class SweepPlan(Section):
    """A search: `trials` sets of values for the named parameters, drawn from `seed`.

    `parameters` maps a dotted name of params.yaml to a list of choices or to a range. A choice that is a mapping
    sets several keys below its name at once. `metric` is the mean of grouped_cv's over `repeats` shufflings of the
    folds. With `prune` a trial stops after a shuffling when its mean is then worse than the median of those complete.
    """

    trials: PositiveInt
    seed: Seed
    metric: Metric = "grouped_cv.balanced_accuracy"
    repeats: int = Field(default=1, ge=1, le=50)
    prune: bool = False
    parameters: dict[str, Parameter] = Field(min_length=1)

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """Which way the metric is better."""
        return "minimize" if self.metric == "grouped_cv.loss" else "maximize"


def plan_file(name: str) -> Path:
    """The file of a shipped or own sweep; raise ConfigError listing those there are."""
    path = SWEEPS / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in SWEEPS.glob("*.yaml")))
        raise ConfigError(f"no sweep {name!r} in {SWEEPS}; there are: {known}")
    return path


def load_plan(path: Path) -> SweepPlan:
    """Read a sweep; raise ConfigError naming file and key."""
    return validate(read_yaml(path), SweepPlan, path)
