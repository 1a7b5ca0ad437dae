"""Where a fit stands, as arrays: what a checkpoint holds, and the history as a table."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cnnClassifier.errors import DataError

LEARNING_RATE = "learning_rate"  # in the history of a fit whose rate changes


@dataclass
class FitState:
    """Where a fit stands: enough to go on after a kill. `weights` are all a tail's variables, dropout's seeds too."""

    history: list[dict[str, float]] = field(default_factory=list)
    weights: list[np.ndarray] = field(default_factory=list)
    optimizer: list[np.ndarray] = field(default_factory=list)
    best_weights: list[np.ndarray] = field(default_factory=list)

    @property
    def best_epoch(self) -> int:
        """The epoch of the lowest validation loss, counted from 0; without validation, the last."""
        if "val_loss" not in self.history[-1]:
            return len(self.history) - 1
        return int(np.argmin([row["val_loss"] for row in self.history]))

    @property
    def best(self) -> dict[str, float]:
        """The metrics of the best epoch."""
        return self.history[self.best_epoch]

    @property
    def rates(self) -> list[float]:
        """The learning rate of each epoch; empty where it did not change."""
        return [row[LEARNING_RATE] for row in self.history if LEARNING_RATE in row]


def values_of(variables: Sequence[Any]) -> list[np.ndarray]:
    """The values of a model's or an optimizer's variables."""
    return [variable.numpy() for variable in variables]


def assign(variables: Sequence[Any], values: Sequence[np.ndarray]) -> None:
    """Give variables the values that `values_of` had from them."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def save_state(state: FitState, path: Path) -> None:
    """Write a checkpoint under a temporary name, then rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    arrays = {
        f"{kind}.{index:04d}": array
        for kind in ("weights", "optimizer", "best_weights")
        for index, array in enumerate(getattr(state, kind))
    }
    with partial.open("wb") as file:
        np.savez(file, history=np.array(json.dumps(state.history)), **arrays)
    partial.replace(path)


def load_state(path: Path) -> FitState:
    """Read a checkpoint; an empty state if there is none."""
    if not path.is_file():
        return FitState()
    with np.load(path) as arrays:
        return FitState(
            history=json.loads(str(arrays["history"])),
            **{
                kind: [arrays[name] for name in sorted(arrays.files) if name.startswith(f"{kind}.")]
                for kind in ("weights", "optimizer", "best_weights")
            },
        )


def history_table(state: FitState) -> str:
    """The history as CSV: epoch from 0, then each metric to six digits."""
    names = list(state.history[0])
    rows = [[str(epoch), *(_digits(name, row[name]) for name in names)] for epoch, row in enumerate(state.history)]
    return "".join(",".join(row) + "\n" for row in [["epoch", *names], *rows])


def read_history(path: Path) -> FitState:
    """The state that a history.csv tells of, without weights; DataError if there is none."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError:
        raise DataError(f"{path}: no history; run `python main.py training` first") from None
    return FitState([{name: float(value) for name, value in row.items() if name != "epoch"} for row in rows])


def _digits(name: str, value: float) -> str:
    # A rate may be smaller than six decimals show.
    return f"{value:.6g}" if name == LEARNING_RATE else f"{value:.6f}"
