"""Folds fitted on a Ray cluster, one in each worker at a time, on the features that were cached here.

The untrained tail and features go out from this machine and probabilities come back to it, so nodes need no folder in
common, no images and no frozen part. A fold whose node is lost is fitted by another, from its beginning.
"""

import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cnnClassifier.augmentation import all_views
from cnnClassifier.batching import progress
from cnnClassifier.config.types import TrainingConfig
from cnnClassifier.errors import CnnClassifierError, ModelError, one_line
from cnnClassifier.features.extraction import FeatureExtractor, Space, feature_key
from cnnClassifier.features.locks import turn
from cnnClassifier.features.spaces import prune, root_of
from cnnClassifier.folds import Folds
from cnnClassifier.model_spec import ModelSpec
from cnnClassifier.ray_cluster import Cluster, connected, cores_each, cores_of_nodes, pool, tell_if_busy

if TYPE_CHECKING:
    from cnnClassifier.cross_validation import Predicted
    from cnnClassifier.recipe import Recipe

ADDRESS = "CNNCLASSIFIER_TRAINING_RAY"  # in the environment, not among the parameters: it says where, not what
MUST_BE_EQUAL = ("keras", "numpy", "tensorflow")
# How often a worker comes back and a fold is tried again before the command ends. By default Ray Data retries for ever.
ATTEMPTS = {"max_restarts": 3, "max_task_retries": 3}
FITTED = pa.schema({"number": pa.int64(), "probabilities": pa.binary(), "error": pa.string()})

# The keys of a shard, and where its features are: on this machine an array, on a node what stands for one.
Sent = tuple[list[str], Any]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FoldJob:
    """All that folds' fits depend on but the features: a tail as JSON, its variables before any fit, the settings."""

    tail: str
    untrained: list[np.ndarray]
    rates: list[float]
    space: Space
    spec: ModelSpec
    config: TrainingConfig
    folds: Folds
    versions: dict[str, str]


class FoldWorker:
    """An actor: it opens the recipe once, and fits one fold at a time."""

    def __init__(self, job: Any, shards: Sequence[Sent], threads: int) -> None:
        import ray

        # Read by TensorFlow with its first operation. Sums in another order would give other last digits; and each
        # worker would claim a GPU's whole memory.
        os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = str(threads)
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        self._job: FoldJob = ray.get(job)
        self._shards = shards

    @cached_property
    def _recipe(self) -> "Recipe":
        import ray

        check_versions(self._job.versions)
        return open_recipe(self._job, self._shards, _node_cache(), ray.get)

    def __call__(self, part: pa.Table) -> pa.Table:
        """One fold's `number` in, columns FITTED out."""
        (number,) = part.column("number").to_pylist()
        row: dict[str, Any] = {"number": number}
        try:
            row["probabilities"] = predict_fold(self._recipe, self._job.folds, number).tobytes()
        except (CnnClassifierError, OSError, MemoryError) as error:
            row["error"] = one_line(error) or type(error).__name__
        return pa.Table.from_pylist([row], FITTED)


def chosen_cluster(config: TrainingConfig, environ: Mapping[str, str] = os.environ) -> Cluster | None:
    """The cluster that the environment names for training, if it names one and the folds can be fitted there.

    Raises ConfigError if Ray is not installed or no cluster answers: before the search, rather than after it.
    """
    if not (address := environ.get(ADDRESS)):
        return None
    if config.balancing.method == "pixel_smote":
        log.warning("%s: folds are fitted here, as `pixel_smote` needs the frozen part for what it makes", ADDRESS)
        return None
    cluster = Cluster(address, asked_by=ADDRESS)
    with connected(cluster):
        return cluster


def fit_on_cluster(cluster: Cluster, recipe: "Recipe", folds: Folds, numbers: Sequence[int]) -> "Iterator[Predicted]":
    """The folds of these numbers, in the order in which they are done. What a lost node had begun is begun again.

    Raises ConfigError if Ray is not installed or no cluster answers, ModelError for a fold that cannot be fitted there.
    """
    views = all_views(recipe.config.augmentation, recipe.config.seed)
    recipe.features.ensure(folds.records, views)
    keys = {feature_key(record, view) for record in folds.records for view in views}
    with connected(cluster) as ray, progress(len(numbers), "folds", "fold") as done:
        cores = cores_each(cores_of_nodes(ray), len(numbers))
        tell_if_busy(ray, cluster)
        log.info("fitting %d folds on the Ray cluster at %s; cores for each: %d", len(numbers), cluster.address, cores)
        shards = [(of_shard, ray.put(features)) for of_shard, features in recipe.features.store.shards(keys)]
        made = {"job": ray.put(job_of(recipe, folds)), "shards": shards, "threads": cores}
        fitted = ray.data.from_items([{"number": number} for number in numbers], override_num_blocks=len(numbers))
        fitted = fitted.map_batches(
            FoldWorker,
            fn_constructor_kwargs=made,
            **ATTEMPTS,
            **pool(ray, replace(cluster, threads=cores), len(numbers), waiting=1),
        )
        for row in rows_of(ray, fitted):
            if row["error"]:
                raise ModelError(f"fold {row['number'] + 1} on the Ray cluster at {cluster.address}: {row['error']}")
            done(1)
            yield row["number"], np.frombuffer(row["probabilities"]).reshape(-1, len(recipe.spec.classes))


def job_of(recipe: "Recipe", folds: Folds) -> FoldJob:
    """What nodes are told of a recipe, as it was before any fit, and of the learning rates that its search found."""
    return FoldJob(
        recipe.tail.to_json(),
        recipe.untrained,
        recipe.rates,
        recipe.features.space,
        recipe.spec,
        recipe.config,
        folds,
        {name: _version(name) for name in MUST_BE_EQUAL},
    )


def check_versions(versions: Mapping[str, str]) -> None:
    """ModelError, naming what differs, unless these libraries are installed here in these versions."""
    if others := [f"{name} {its} and not {_version(name)}" for name, its in versions.items() if _version(name) != its]:
        raise ModelError(f"a node needs {', '.join(others)}; install requirements.lock there, as it is here")


def open_recipe(job: FoldJob, shards: Iterable[Sent], cache: Path, fetch: Callable[[Any], np.ndarray]) -> "Recipe":
    """The recipe as it was where it came from, with its features in a store below `cache`.

    All of a node's workers share that store: the first one fills it. What it holds of other trainings is removed,
    unless it is in use.
    """
    import keras

    from cnnClassifier.fit_state import assign
    from cnnClassifier.fitting import make_deterministic
    from cnnClassifier.recipe import Recipe

    make_deterministic(job.config.seed)
    features = FeatureExtractor(cache, cache / "no images", job.space, np.asarray)  # all features will be there
    prune(root_of(cache), limit=0)
    with turn(root_of(cache)):
        for keys, sent in shards:
            if features.store.missing(keys):
                features.store.add(keys, fetch(sent))
    tail = keras.models.model_from_json(job.tail)
    assign(tail.variables, job.untrained)
    recipe = Recipe(tail, features, job.spec, job.config)
    recipe.rates = job.rates
    return recipe


def predict_fold(recipe: "Recipe", folds: Folds, number: int) -> np.ndarray:
    """Fit a recipe on all folds but one, and tell the probabilities of that one's images, float64 (n, classes)."""
    from cnnClassifier.cross_validation import fit_here

    with tempfile.TemporaryDirectory(prefix="cnnClassifier-") as checkpoints:
        [(_, probabilities)] = fit_here(recipe, folds, [number], Path(checkpoints))
    return probabilities


def rows_of(ray: Any, fitted: Any) -> Iterator[dict[str, Any]]:
    """Each row once it is there: by default Ray Data would keep it until the next one is.

    Raises ModelError when the cluster gives up, as on a fold that kills its worker again and again.
    """
    try:
        for batch in fitted.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
            yield from batch.to_pylist()
    except ray.exceptions.RayTaskError:  # a fault of this program: its traceback tells where
        raise
    except ray.exceptions.RayError as error:
        said = str(error).splitlines()[0]
        raise ModelError(
            f"the Ray cluster gave up, perhaps for want of memory on its nodes: {said} Folds that came are kept, "
            "run the same command again"
        ) from None


def _node_cache() -> Path:
    cache = Path(tempfile.gettempdir()) / f"cnnClassifier-folds-{os.getuid()}"
    cache.mkdir(mode=0o700, exist_ok=True)
    return cache


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "none"
