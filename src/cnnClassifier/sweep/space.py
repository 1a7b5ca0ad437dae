"""From drawn values to settings and back to a command. Pure: draws come from whoever has `suggest_*`."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cnnClassifier.config.loading import validate
from cnnClassifier.config.types import Settings
from cnnClassifier.errors import ConfigError
from cnnClassifier.sweep.plan import FloatRange, IntRange, Parameter, SweepPlan

SWEPT = ("prepare_base_model", "training")
# All trials are judged on the same folds, from the same seeds: else the luckiest deal would win.
HELD = ("prepare_base_model.seed", "training.seed", "training.folds")

# To Hydra a string without quotes.
WORD = re.compile(r"(?!(?:true|false|null|nan|inf)\Z)[a-z_]\w*", re.ASCII | re.IGNORECASE)

Values = Mapping[str, Any]


class Draw(Protocol):
    """An Optuna trial, as far as it is needed here."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...  # noqa: D102
    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int: ...  # noqa: D102
    def suggest_float(self, name: str, low: float, high: float, *, step: float | None, log: bool) -> float: ...  # noqa: D102


@dataclass(frozen=True)
class Space:
    """The values that a sweep may give to the settings `base`; `source` is the file that says so."""

    base: Settings
    plan: SweepPlan
    source: Path

    def check(self) -> None:
        """Raise ConfigError for a name that is none of the settings', or a value that they would refuse."""
        for name, parameter in self.plan.parameters.items():
            if name.partition(".")[0] not in SWEPT:
                raise ConfigError(f"{self.source}: parameters.{name}: a sweep takes names below {' and '.join(SWEPT)}")
            for value in extremes(parameter):
                self.settings({name: value})
        self._check_names()

    def settings(self, values: Values) -> Settings:
        """The base settings with these values; raise ConfigError naming file and key for one that is refused."""
        return settings_with(self.base, values, self.source, "parameters.")

    def draw(self, trial: Draw) -> dict[str, Any]:
        """A value for every parameter."""
        return {name: _draw(trial, name, parameter) for name, parameter in self.plan.parameters.items()}

    def _check_names(self) -> None:
        named = {
            name: {leaf for value in extremes(parameter) for leaf, _ in leaves({name: value})}
            for name, parameter in self.plan.parameters.items()
        }
        told = [leaf for of_one in named.values() for leaf in of_one]
        if twice := sorted({leaf for leaf in told if told.count(leaf) > 1}):
            raise ConfigError(f"{self.source}: parameters: {', '.join(twice)}: set by two of them, which counts?")
        if held := sorted(set(told) & set(HELD)):
            raise ConfigError(
                f"{self.source}: parameters: {', '.join(held)}: the same for all trials, or none compares"
            )


def settings_with(base: Settings, values: Values, source: Path, where: str = "") -> Settings:
    """The settings with other values, by dotted names; a mapping changes only the keys that it has.

    Raises ConfigError naming file and key for a name that is none of the settings' (`where` stands before it) and for
    a value that they would refuse.
    """
    tree = base.model_dump(mode="json")
    for name, value in values.items():
        _set(tree, name, value, f"{source}: {where}{name}")
    return validate(tree, Settings, source)


def extremes(parameter: Parameter) -> Sequence[Any]:
    """All choices, or both ends of a range."""
    return (parameter.low, parameter.high) if isinstance(parameter, IntRange | FloatRange) else parameter


def leaves(values: Values, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values that are no mappings."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def text_of(value: Any) -> str:
    """A value for people, as YAML and JSON have it."""
    return value if isinstance(value, str) else json.dumps(value)


def command(values: Values, params: Mapping[str, Any]) -> str:
    """The command that runs the pipeline with these values; `params` is what params.yaml has."""
    present = dict(leaves(params))
    changes = [f"{'' if name in present else '+'}{name}={_override(value)}" for name, value in leaves(values)]
    return " ".join(["dvc exp run", *(f"-S {shlex.quote(change)}" for change in changes)])


def _override(value: Any) -> str:
    """A value in the grammar of Hydra's overrides, which `dvc exp run -S` reads: JSON but for keys and strings."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_override(each)}' for key, each in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_override, value))}]"
    return _quoted(value) if isinstance(value, str) and not WORD.fullmatch(value) else text_of(value)


def _quoted(text: str) -> str:
    """A backslash counts only before what it could escape: a quote or the end, and `${`, which would be looked up."""
    text = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)
    text = re.sub(r'(\\*)"', r'\1\1\\"', text)
    ending = text[len(text.rstrip("\\")) :]
    return f'"{text}{ending}"'


def _draw(trial: Draw, name: str, parameter: Parameter) -> Any:
    if isinstance(parameter, IntRange):
        return trial.suggest_int(name, parameter.low, parameter.high, step=parameter.step, log=parameter.log)
    if isinstance(parameter, FloatRange):
        return trial.suggest_float(name, parameter.low, parameter.high, step=parameter.step, log=parameter.log)
    by_text = {text_of(choice): choice for choice in parameter}  # Optuna keeps no lists or mappings
    return by_text[trial.suggest_categorical(name, list(by_text))]


def _set(tree: dict[str, Any], name: str, value: Any, culprit: str) -> None:
    *sections, key = name.split(".")
    inner: Any = tree
    for section in sections:
        inner = inner.get(section) if isinstance(inner, dict) else None
    if not isinstance(inner, dict) or key not in inner:
        raise ConfigError(f"{culprit}: params.yaml has no such key, is it misspelt?")
    inner[key] = merged(inner[key], value)


def merged(old: Any, new: Any) -> Any:
    """A mapping changes only the keys that it has; anything else takes the old one's place."""
    if not (isinstance(old, dict) and isinstance(new, Mapping)):
        return deepcopy(new)
    return old | {key: merged(old.get(key), value) for key, value in new.items()}
