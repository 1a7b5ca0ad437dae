"""`python main.py drift`: a window of the log against the training reference; a page, a line, figures for /metrics."""

import logging
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from cnnClassifier.destinations import check_new_file
from cnnClassifier.errors import ConfigError, ModelError
from cnnClassifier.files import naming_database
from cnnClassifier.inference import Classifier
from cnnClassifier.monitoring.drift import Null, Window, compare
from cnnClassifier.monitoring.entries import read_log
from cnnClassifier.monitoring.reading import Checked, read_window, save_check
from cnnClassifier.monitoring.reference import REFERENCE_FILE, TrainingReference
from cnnClassifier.monitoring.report import write_report

LOG = "CNNCLASSIFIER_PREDICTION_LOG"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Period:
    """From when to when, in seconds since 1970; ConfigError if it ends before it begins."""

    since: float
    until: float

    def __post_init__(self) -> None:
        """Refuse one that runs backwards."""
        if self.since >= self.until:
            raise ConfigError("--since must be before --until: 7d is seven days ago, 0m is now")


def log_path(named: Path | None, environ: Mapping[str, str], configured: Path | None) -> Path:
    """The log that a command is about: as named, else the environment's, else config.yaml's; ConfigError for none."""
    path = named or (Path(environ[LOG]) if environ.get(LOG) else configured)
    if path is None:
        raise ConfigError(f"no prediction log: name one with --log, {LOG} or serving.prediction_log in config.yaml")
    return path


def check(log_file: Path, classifier: Classifier, period: Period, out: Path) -> Checked:
    """Compare, write the page `out`, and keep what was found in the log, where the app's /metrics shows it.

    ModelError for a model without a reference, DataError where the log has too few answers of it or cannot be written,
    ConfigError or OSError, before anything is compared, where the page cannot.
    """
    reference = training_reference(classifier)
    place = check_new_file(out, read=[log_file])
    with closing(read_log(log_file)) as connection, naming_database(log_file):
        model = classifier.name, classifier.version
        window = read_window(connection, *model, period.since, period.until, reference, classifier.digest)
        checked = compare_window(classifier, reference, window)
        write_report(checked, reference, window, classifier, (period.since, period.until), place)
        save_check(connection, checked)
    return checked


def compare_window(classifier: Classifier, reference: TrainingReference, window: Window) -> Checked:
    """What the comparisons of a window find."""
    rule = classifier.spec.decision.outliers
    findings = compare(reference, window, rule.threshold if rule else None, Null(reference, len(window)))
    return Checked(time.time(), classifier.name, classifier.version, len(window), tuple(findings))


def training_reference(classifier: Classifier) -> TrainingReference:
    """A model's training reference; ModelError that says how a model comes by one."""
    if classifier.training is None:
        raise ModelError(
            f"model {classifier.name} version {classifier.version} has no {REFERENCE_FILE}, so there is nothing to "
            "compare with: it was registered before monitoring, or is an ensemble. `python main.py` registers a "
            "version with one"
        )
    return classifier.training


def in_words(checked: Checked) -> str:
    """One line for people and logs."""
    who = f"{checked.model} version {checked.version}, {checked.images} images"
    if not checked.alarms:
        return f"{who}: no drift"
    found = ", ".join(f"{finding.name} (effect {finding.effect:.2f})" for finding in checked.alarms)
    return f"{who}: DRIFT in {found}"
