"""One set of settings -> grouped_cv metrics, as training and evaluation would find them. Train+valid alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnnClassifier.changed_settings import warn_of_changed_settings
from cnnClassifier.components.prepare_base_model import base_spec
from cnnClassifier.config.types import Paths, Settings
from cnnClassifier.cross_validation import cross_validate
from cnnClassifier.datasets.manifest import Classes, ImageRecord, read_classes, read_manifest
from cnnClassifier.datasets.splits import hold_out
from cnnClassifier.errors import DataError
from cnnClassifier.features.network import open_features
from cnnClassifier.fitting import make_deterministic
from cnnClassifier.folds import Folds, deal_folds
from cnnClassifier.judgement import truth_of
from cnnClassifier.metrics.classification import OVERALL, score
from cnnClassifier.modeling import build_classifier, cut
from cnnClassifier.recipe import Recipe, ignore_epoch

PROTOCOL = "grouped_cv"


@dataclass(frozen=True)
class Bench:
    """What every trial is judged on: the audited images less the test split, and where features are kept."""

    records: list[ImageRecord]
    classes: Classes
    paths: Paths


@dataclass(frozen=True)
class Deal:
    """What one shuffling of the folds gave: metrics by the names of metrics.json, and how many epochs were fitted.

    `probabilities` (n, classes) are those of the bench's images, each out of its `fold` (n,).
    """

    metrics: dict[str, float]
    epochs: int
    probabilities: np.ndarray
    fold: np.ndarray


def open_bench(settings: Settings, paths: Paths) -> Bench:
    """Read what ingestion and audit left; DataError saying which stage to run if it is missing or another's.

    A warning where their settings have changed since.
    """
    warn_of_changed_settings(settings, "data_audit")
    classes = read_classes(paths.classes)
    if set(classes.names) != set(settings.data_ingestion.classes):
        raise DataError(
            f"{paths.classes}: these images are of another experiment ({', '.join(classes.names)}); "
            "run `python main.py data_ingestion` and `python main.py data_audit` first"
        )
    if not paths.audited_manifest.is_file():
        raise DataError(f"{paths.audited_manifest}: no audited images; run `python main.py data_audit` first")
    records = [record for record in read_manifest(paths.audited_manifest) if record.split != "test"]
    return Bench(records, classes, paths)


def judge(settings: Settings, bench: Bench, repeats: int, scratch: Path) -> Iterator[Deal]:
    """Search the epochs once, then cross-validate on one shuffling of the folds after another.

    The first is the one that `training` deals. What is done survives a kill in `scratch`.
    """
    base, config = settings.prepare_base_model, settings.training
    make_deterministic(config.seed)
    model = build_classifier(base, len(bench.classes.names))
    spec = base_spec(base, bench.classes)
    parts = cut(model, spec.freeze)
    recipe = Recipe(parts.tail, open_features(parts, spec, bench.paths), spec, config)

    fitted, held_out = hold_out(bench.records, config.validation, config.seed)
    state = recipe.search(fitted, held_out, scratch / "search.npz", ignore_epoch, scratch / "tensorboard")
    epochs = state.best_epoch + 1
    for number in range(repeats):
        fold = deal_folds(bench.records, config.folds, config.seed + number)
        probabilities = cross_validate(recipe, Folds(bench.records, fold, epochs), scratch / f"deal{number}")
        yield Deal(_metrics(bench, probabilities), epochs, probabilities, fold)


def _metrics(bench: Bench, probabilities: np.ndarray) -> dict[str, float]:
    truth = truth_of(bench.records, bench.classes.names)
    found = score(truth, probabilities, np.ones((1, len(truth))))
    return {f"{PROTOCOL}.{name}": float(getattr(found, name)[0]) for name in OVERALL}
