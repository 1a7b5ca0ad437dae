"""A Keras model's way through the feature cache: its frozen trunk fills it, its tail reads from it."""

import hashlib
from collections.abc import Sequence

import numpy as np

from cnnClassifier.augmentation import AnyView, View
from cnnClassifier.batching import batches
from cnnClassifier.config.types import AugmentationConfig, Paths
from cnnClassifier.datasets.manifest import ImageRecord
from cnnClassifier.features.engine import open_engine
from cnnClassifier.features.extraction import FeatureExtractor, Forward, Space
from cnnClassifier.model_spec import ModelSpec
from cnnClassifier.modeling import Cut, digest_weights

PLAIN = View(0, 0, AugmentationConfig())

CHUNK = 256  # rows read from the cache at a time when predicting


def open_features(parts: Cut, spec: ModelSpec, paths: Paths) -> FeatureExtractor:
    """The cache of what this model's trunk says of this pipeline's images."""
    structure = hashlib.sha256(parts.trunk.to_json().encode()).hexdigest()
    run, digest = open_engine(parts, f"{structure}{digest_weights(parts.trunk)}", spec, paths)
    precision = "" if spec.precision == "float32" else f", {spec.precision}"
    space = Space(spec.preprocessing, digest, f"{spec.backbone} ({spec.weights}{precision}) up to {parts.layer}")
    return FeatureExtractor(paths.cache, paths.images, space, run)


def predict_tail(
    tail: Forward, features: FeatureExtractor, records: Sequence[ImageRecord], view: AnyView = PLAIN
) -> np.ndarray:
    """What a compiled tail makes of its trunk's features of a view: probabilities, float64 (n, classes)."""
    features.ensure(records, [view])
    return softmax(np.concatenate([tail(features.read(chunk, view)) for chunk in batches(records, CHUNK)]))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of logits (n, classes), in double precision."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    probabilities: np.ndarray = shifted / shifted.sum(axis=1, keepdims=True)
    return probabilities
