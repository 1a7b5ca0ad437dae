"""What config/compare/<name>.yaml may say, and the candidates that it makes of the active parameters."""

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from cnnClassifier.config.loading import read_yaml, validate
from cnnClassifier.config.section import Section
from cnnClassifier.config.types import Settings
from cnnClassifier.errors import ConfigError
from cnnClassifier.sweep.space import HELD, SWEPT, leaves, settings_with

COMPARISONS = Path("config/compare")

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,60}$")]


class ComparisonPlan(Section):
    """Two candidates or more: a name, and what it changes of `prepare_base_model` and `training`.

    A candidate that changes nothing (`{}`) is the active parameters as they stand.
    """

    candidates: dict[Name, dict[str, Any]] = Field(min_length=2)


@dataclass(frozen=True)
class Candidate:
    """A set of parameters to be compared; `values` are what it changes of the active ones."""

    name: str
    values: dict[str, Any]
    settings: Settings


def comparison_file(asked: str) -> Path:
    """A file, or the shipped or own comparison of that name; raise ConfigError listing those there are."""
    if Path(asked).suffix in (".yaml", ".yml"):
        return Path(asked)
    path = COMPARISONS / f"{asked}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in COMPARISONS.glob("*.yaml"))) or "none"
        raise ConfigError(
            f"no candidates {asked!r} in {COMPARISONS}; there are: {known}. Give one of them, or a file of your own, "
            "with --candidates"
        )
    return path


def load_candidates(path: Path, base: Settings) -> list[Candidate]:
    """The candidates of a file, on the active parameters; raise ConfigError naming file and key."""
    plan = validate(read_yaml(path), ComparisonPlan, path)
    candidates = [_candidate(name, values, base, path) for name, values in plan.candidates.items()]
    for one, other in combinations(candidates, 2):
        if one.settings == other.settings:
            raise ConfigError(f"{path}: candidates.{other.name}: has the same parameters as {one.name}; leave one out")
    return candidates


def _candidate(name: str, values: dict[str, Any], base: Settings, path: Path) -> Candidate:
    where = f"candidates.{name}"
    if strangers := sorted(key for key in values if key.partition(".")[0] not in SWEPT):
        raise ConfigError(
            f"{path}: {where}: a candidate changes {' and '.join(SWEPT)} alone. Received: {', '.join(strangers)}"
        )
    if held := sorted({leaf for leaf, _ in leaves(values)} & set(HELD)):
        raise ConfigError(
            f"{path}: {where}: {', '.join(held)}: the same for all candidates, for they are judged on the same folds"
        )
    try:
        settings = settings_with(base, values, path)
    except ConfigError as error:
        raise ConfigError(f"{path}: {where}: {str(error).removeprefix(f'{path}: ')}") from None
    return Candidate(name, values, settings)
