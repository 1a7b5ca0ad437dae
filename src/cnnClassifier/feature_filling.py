"""Fill the feature store on a Ray cluster with what a training will ask for; again to go on where it stopped."""

import time
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from cnnClassifier.augmentation import all_views
from cnnClassifier.batching import batches, progress
from cnnClassifier.components.prepare_base_model import base_spec
from cnnClassifier.config.types import Paths, Settings, TrainingConfig
from cnnClassifier.datasets.manifest import ImageRecord, read_manifest
from cnnClassifier.errors import ConfigError
from cnnClassifier.feature_cluster import Feature, extract_on_cluster
from cnnClassifier.features.engine import EightBits
from cnnClassifier.features.extraction import SHARD, FeatureExtractor, Item, feature_key
from cnnClassifier.features.network import PLAIN, open_features
from cnnClassifier.features.store import FeatureStore
from cnnClassifier.modeling import build_classifier, cut
from cnnClassifier.ray_cluster import Cluster
from cnnClassifier.sweep.judging import open_bench


def fill_features(settings: Settings, paths: Paths, cluster: Cluster) -> str:
    """Compute what training and evaluation of the active experiment ask for and the store lacks; a line on how much.

    Raises ConfigError for a network that nodes cannot run, DataError for a stage that has to run first or an image
    that cannot be read.
    """
    features = open_untrained(settings, paths)
    engine = features.forward
    if not isinstance(engine, EightBits):
        raise ConfigError(
            "--ray: nodes have no TensorFlow and compute what is in eight bits alone; set prepare_base_model.precision "
            f"to int8, or run without --ray. Received: {settings.prepare_base_model.precision}"
        )
    wanted = list(wanted_features(read_manifest(paths.audited_manifest), settings.training))
    lacking = features.lacking(wanted)
    there = len({feature_key(*item) for item in wanted} - lacking.keys())
    began = time.monotonic()
    if lacking:
        spec = features.space.preprocessing
        found = extract_on_cluster(cluster, engine.network(), spec, paths.images, lacking)
        keep(features.store, found, len(lacking))
    return f"{len(lacking):,} features computed in {time.monotonic() - began:.1f} s; {there:,} were there"


def open_untrained(settings: Settings, paths: Paths) -> FeatureExtractor:
    """The cache of what the active experiment's frozen part says of its images, whatever was trained last."""
    bench = open_bench(settings, paths)
    model = build_classifier(settings.prepare_base_model, len(bench.classes.names))
    spec = base_spec(settings.prepare_base_model, bench.classes)
    return open_features(cut(model, spec.freeze), spec, paths)


def wanted_features(records: Sequence[ImageRecord], config: TrainingConfig) -> Iterator[Item]:
    """Every view of each image that is trained on, and the test images as they are."""
    views = all_views(config.augmentation, config.seed)
    for record in records:
        for view in [PLAIN] if record.split == "test" else views:
            yield record, view


def keep(store: FeatureStore, found: Iterable[Feature], count: int) -> None:
    """Write features as they come, a shard at a time, with progress; a kill costs those that fill no shard yet."""
    with progress(count, "features") as done:
        for shard in batches(found, SHARD):
            store.add([key for key, _ in shard], np.stack([features for _, features in shard]))
            done(len(shard))
