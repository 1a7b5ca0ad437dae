"""The images of every protocol, with what the model and the controls say of them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cnnClassifier.audit.copies import copies_of_training
from cnnClassifier.audit.facts import Facts
from cnnClassifier.audit.pairs import LEFT_OUT, CopyPair
from cnnClassifier.audit.shortcuts import BLOCKS
from cnnClassifier.datasets.manifest import ImageRecord
from cnnClassifier.features.extraction import FeatureExtractor
from cnnClassifier.features.vectors import frozen_vectors
from cnnClassifier.metrics.classification import Floats
from cnnClassifier.metrics.predictions import Predictions, folds_of
from cnnClassifier.metrics.protocols import Judged, judge_grouped, judge_test


def judge(
    features: FeatureExtractor,
    facts: Facts,
    trained: Sequence[ImageRecord],
    out_of_fold: Predictions,
    test: Sequence[ImageRecord],
    probabilities: Floats,
    seed: int,
) -> tuple[Judged, Judged]:
    """Train+valid by cross-validation over groups, and the test split as published.

    `trained` are the images of `out_of_fold`, in its order; `probabilities` (n, classes) are those of `test`.
    """
    classes, labels = len(out_of_fold.classes), out_of_fold.truth
    seen, asked = frozen_vectors(features, trained), frozen_vectors(features, test)
    seen_facts, asked_facts = _file_facts(facts.of(trained)), _file_facts(facts.of(test))
    by_groups = judge_grouped(seen, seen_facts, labels, folds_of(out_of_fold), classes, seed)
    by_split = judge_test((seen, asked), (seen_facts, asked_facts), labels, classes, seed)
    return (
        Judged(labels, out_of_fold.groups, _sources(trained), out_of_fold.probabilities, by_groups),
        Judged(truth_of(test, out_of_fold.classes), _groups(test), _sources(test), probabilities, by_split),
    )


def without_copies(
    published: Judged, test: Sequence[ImageRecord], records: Sequence[ImageRecord], pairs: Sequence[CopyPair]
) -> dict[str, Judged]:
    """The stricter test protocols, by name: less the test images that train or valid has too, among all `records`.

    One that leaves no image is left out.
    """
    copies = {name: copies_of_training(records, pairs, kinds) for name, kinds in LEFT_OUT.items()}
    kept = {name: np.array([record.id not in ids for record in test]) for name, ids in copies.items()}
    return {name: published.at(rows) for name, rows in kept.items() if rows.any()}


def truth_of(records: Sequence[ImageRecord], classes: Sequence[str]) -> NDArray[np.int64]:
    """Class indices (n,) of records."""
    return np.array([classes.index(record.label) for record in records], np.int64)


def _file_facts(facts: Facts) -> NDArray[np.float32]:
    """The facts that need no look at what a picture shows: those of the shortcuts' blocks, (n, facts)."""
    return np.hstack([facts.block(block) for block in BLOCKS])


def _groups(records: Sequence[ImageRecord]) -> NDArray[np.str_]:
    return np.array([record.group for record in records])


def _sources(records: Sequence[ImageRecord]) -> NDArray[np.str_]:
    return np.array([f"{record.format} {record.mode}" for record in records])
