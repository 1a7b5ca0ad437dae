"""Folds fitted on a Ray cluster, several at a time: each actor has the untrained tail and the cached features.

Tail and features go out from this machine and probabilities come back to it, so nodes need no folder in common, no
images and no frozen part. A fold whose node is lost is fitted by another, from its beginning.
"""

import logging
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cnnClassifier.augmentation import all_views
from cnnClassifier.batching import progress
from cnnClassifier.config.types import TrainingConfig
from cnnClassifier.errors import DataError, ModelError
from cnnClassifier.features.extraction import FeatureExtractor, Space, feature_key
from cnnClassifier.features.store import Shard
from cnnClassifier.folds import Folds
from cnnClassifier.model_spec import ModelSpec
from cnnClassifier.ray_cluster import Cluster, connected, cores_each, cores_of_nodes, pool

if TYPE_CHECKING:
    from cnnClassifier.cross_validation import Predicted
    from cnnClassifier.recipe import Recipe

ADDRESS = "CNNCLASSIFIER_TRAINING_RAY"  # in the environment, not among the parameters: it says where, not what
LACKING = "a node of the cluster cannot fit folds; install requirements.lock there, as it is here"
FITTED = pa.schema({"number": pa.int64(), "probabilities": pa.binary(), "error": pa.string()})

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fits:
    """All that folds' fits depend on but the features: a tail as JSON, its variables before any fit, the settings."""

    tail: str
    untrained: list[np.ndarray]
    rates: list[float]
    space: Space
    spec: ModelSpec
    config: TrainingConfig
    folds: Folds


class Fitter:
    """An actor: it opens the recipe once, and fits the folds that it is given."""

    def __init__(self, fits: Any, shards: Sequence[Any], threads: int) -> None:
        import ray

        # Read by TensorFlow with its first operation. Sums in another order would give other last digits.
        os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = str(threads)
        self._scratch = tempfile.TemporaryDirectory(prefix="cnnClassifier-")
        self._folder = Path(self._scratch.name)
        self._fits: Fits = ray.get(fits)
        self._shards = map(ray.get, shards)

    @cached_property
    def _recipe(self) -> "Recipe":
        return open_recipe(self._fits, self._shards, self._folder)

    def __call__(self, part: pa.Table) -> pa.Table:
        """A column `number` in, columns FITTED out."""
        numbers = part.column("number").to_pylist()
        try:
            rows = list(fit_rows(self._recipe, self._fits.folds, numbers, self._folder))
        except ImportError as error:
            rows = [{"number": number, "error": f"{LACKING}. Received: {error}"} for number in numbers]
        return pa.Table.from_pylist(rows, FITTED)


def chosen_cluster(config: TrainingConfig, environ: Mapping[str, str] = os.environ) -> Cluster | None:
    """The cluster that the environment names for training, if it names one and the folds can be fitted there.

    Raises ConfigError if nothing listens there: before the search, rather than after it.
    """
    if not (address := environ.get(ADDRESS)):
        return None
    if config.balancing.method == "pixel_smote":
        log.warning("%s: folds are fitted here, as `pixel_smote` needs the frozen part for what it makes", ADDRESS)
        return None
    cluster = Cluster(address, asked_by=ADDRESS)
    cluster.check_reachable()
    return cluster


def fit_on_cluster(cluster: Cluster, recipe: "Recipe", folds: Folds, numbers: Sequence[int]) -> "Iterator[Predicted]":
    """The folds of these numbers, in the order in which they are done. What a lost node had begun is begun again.

    Raises ConfigError if Ray is not installed or no cluster answers, ModelError for a fit that diverges.
    """
    shards = shards_of(recipe, folds)
    with connected(cluster) as ray, progress(len(numbers), "folds", "fold") as done:
        cores = cores_each(cores_of_nodes(ray), len(numbers))
        log.info("fitting %d folds on the Ray cluster at %s; cores for each: %d", len(numbers), cluster.address, cores)
        sent = {"fits": ray.put(fits_of(recipe, folds)), "shards": [ray.put(shard) for shard in shards]}
        rows = [{"number": number} for number in numbers]
        fitted = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            Fitter,
            fn_constructor_kwargs={**sent, "threads": cores},
            **pool(ray, replace(cluster, threads=cores), len(rows)),
        )
        for row in fitted.iter_rows():
            if row["error"]:
                raise ModelError(row["error"])
            done(1)
            yield row["number"], np.frombuffer(row["probabilities"]).reshape(-1, len(recipe.spec.classes))


def open_recipe(fits: Fits, shards: Iterable[Shard], folder: Path) -> "Recipe":
    """The recipe as it was where it came from; features are kept below `folder`, and none can be computed."""
    import keras

    from cnnClassifier.fit_state import assign
    from cnnClassifier.fitting import make_deterministic
    from cnnClassifier.recipe import Recipe

    make_deterministic(fits.config.seed)
    features = FeatureExtractor(folder, folder / "no images", fits.space, _refuse)
    for keys, arrays in shards:
        features.store.add(keys, arrays)
    tail = keras.models.model_from_json(fits.tail)
    assign(tail.variables, fits.untrained)
    recipe = Recipe(tail, features, fits.spec, fits.config)
    recipe.rates = fits.rates
    return recipe


def fit_rows(recipe: "Recipe", folds: Folds, numbers: Iterable[int], checkpoints: Path) -> Iterator[dict[str, Any]]:
    """Rows of FITTED: float64 (n, classes) laid flat, or why there are none."""
    from cnnClassifier.cross_validation import fit_here

    for number in numbers:
        try:
            [(_, probabilities)] = fit_here(recipe, folds, [number], checkpoints)
        except (DataError, ModelError) as error:
            yield {"number": number, "error": str(error)}
        else:
            yield {"number": number, "probabilities": probabilities.tobytes()}


def fits_of(recipe: "Recipe", folds: Folds) -> Fits:
    """What is sent to nodes of a recipe that was not fitted yet, or whose search found learning rates."""
    tail = recipe.tail.to_json()
    return Fits(tail, recipe.untrained, recipe.rates, recipe.features.space, recipe.spec, recipe.config, folds)


def shards_of(recipe: "Recipe", folds: Folds) -> Iterator[Shard]:
    """The shards that hold what the folds' fits read, computed here first where something is lacking."""
    views = all_views(recipe.config.augmentation, recipe.config.seed)
    recipe.features.ensure(folds.records, views)
    return recipe.features.store.shards({feature_key(record, view) for record in folds.records for view in views})


def _refuse(_: np.ndarray) -> np.ndarray:
    raise ModelError("features are computed where training was started, and not on nodes of a cluster")
