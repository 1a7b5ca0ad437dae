"""What every component is: its section, the paths, and somebody who may watch it work."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Generic, Protocol, TypeVar

from cnnClassifier.config.section import Section
from cnnClassifier.config.types import Paths

ConfigT = TypeVar("ConfigT", bound=Section)


class EpochLog(Protocol):
    """Hears of each epoch while a stage runs; what matters is in the stage's files all the same."""

    def log_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Take the metrics of a finished epoch, counted from 0."""


class NoLog:
    """The log of a component that runs by itself."""

    def log_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Do nothing."""


class Component(ABC, Generic[ConfigT]):
    """A stage of the pipeline: reads files, calls pure functions, writes files."""

    def __init__(self, config: ConfigT, paths: Paths, epoch_log: EpochLog | None = None) -> None:
        self.config = config
        self.paths = paths
        self.epoch_log = epoch_log or NoLog()

    @abstractmethod
    def run(self) -> None:
        """Do the stage's work; raise a CnnClassifierError when it cannot be done."""
