"""What a node of a cluster does with folds, done here: it needs no image and no frozen part, and finds the same."""

import gc
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnClassifier.augmentation import all_views
from cnnClassifier.config.types import Paths, TrainingConfig
from cnnClassifier.cross_validation import cross_validate, fit_here
from cnnClassifier.datasets.manifest import read_manifest
from cnnClassifier.errors import ConfigError, ModelError
from cnnClassifier.features.extraction import feature_key
from cnnClassifier.features.network import open_features
from cnnClassifier.features.spaces import root_of, survey
from cnnClassifier.fitting import make_deterministic
from cnnClassifier.fold_cluster import (
    ADDRESS,
    FoldJob,
    check_versions,
    chosen_cluster,
    job_of,
    open_recipe,
    predict_fold,
)
from cnnClassifier.folds import Folds, deal_folds
from cnnClassifier.modeling import cut, load_model
from cnnClassifier.ray_cluster import cores_each
from cnnClassifier.recipe import Recipe
from tiny_pipeline import ingest_and_audit, prepare, training, write_data

EPOCHS = 2


@pytest.fixture(scope="module", params=["all", "block2_pool"])
def started(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Folds]:
    """A recipe whose tail is a head or a part of a network, and the folds of its images."""
    root = tmp_path_factory.mktemp("folds")
    paths = ingest_and_audit(root, write_data(root / "data"))
    prepare(paths, freeze=request.param, head={"pooling": "mean", "hidden_units": 4, "dropout": 0.2})
    return begin(paths)


def begin(paths: Paths) -> tuple[Recipe, Folds]:
    config = training(schedule="cosine", augmentation={"views": 2})
    make_deterministic(config.seed)
    model, spec = load_model(paths.base_model)
    parts = cut(model, spec.freeze)
    recipe = Recipe(parts.tail, open_features(parts, spec, paths), spec, config)
    recipe.rates = [0.01, 0.002]
    records = [record for record in read_manifest(paths.audited_manifest) if record.split != "test"]
    recipe.features.ensure(records, all_views(config.augmentation, config.seed))
    return recipe, Folds(records, deal_folds(records, 2, config.seed), EPOCHS)


@pytest.fixture
def there(started: tuple[Recipe, Folds], tmp_path: Path) -> Callable[..., Recipe]:
    """Opens the recipe as a node does, in a store of its own."""
    recipe, folds = started
    shards = list(recipe.features.store.shards({feature_key(*item) for item in items(recipe, folds)}))
    arrived = pickle.loads(pickle.dumps(job_of(recipe, folds)))  # noqa: S301

    def open_there(job: FoldJob = arrived, fetch: Callable[[Any], np.ndarray] = np.asarray) -> Recipe:
        return open_recipe(job, shards, tmp_path / "there", fetch)

    return open_there


def items(recipe: Recipe, folds: Folds):
    views = all_views(recipe.config.augmentation, recipe.config.seed)
    return [(record, view) for record in folds.records for view in views]


def test_a_fold_is_what_it_is_where_training_was_started(started, there, tmp_path):
    recipe, folds = started
    expected = dict(fit_here(recipe, folds, folds.numbers, tmp_path))
    opened = there()
    for number in reversed(folds.numbers):
        np.testing.assert_array_equal(predict_fold(opened, folds, number), expected[number])


def test_workers_of_a_node_share_one_store_and_the_next_training_takes_its_place(started, there, tmp_path):
    first = there()
    spaces = survey(root_of(tmp_path / "there"))

    def fetch(_: Any) -> np.ndarray:
        raise AssertionError("it is there")

    there(fetch=fetch)
    assert survey(root_of(tmp_path / "there"))[0].bytes == spaces[0].bytes

    job = job_of(*started)
    other = replace(job, space=replace(job.space, trunk_digest="another network's"))
    there(other)
    assert len(survey(root_of(tmp_path / "there"))) == 2  # the first is in use
    del first
    gc.collect()
    there(other)
    assert len(survey(root_of(tmp_path / "there"))) == 1


def test_a_fit_that_diverges_there_is_the_error_that_it_is_here(started, there):
    job = pickle.loads(pickle.dumps(job_of(*started)))  # noqa: S301
    job.untrained[-1][:] = np.nan
    with pytest.raises(ModelError, match=r"^training diverged in epoch 1"):
        predict_fold(there(job), started[1], 1)


def test_a_node_with_other_libraries_is_told_which(started):
    job = job_of(*started)
    check_versions(job.versions)
    with pytest.raises(ModelError, match=r"^a node needs keras 2\.0 and not .*requirements\.lock"):
        check_versions({**job.versions, "keras": "2.0"})
    with pytest.raises(ModelError, match=r"a node needs no-such-library 1\.0 and not none"):
        check_versions({"no-such-library": "1.0"})


def test_folds_that_came_before_a_kill_are_not_asked_for_again(started, tmp_path):
    recipe, folds = started
    asked: list[list[int]] = []

    def elsewhere(recipe: Recipe, folds: Folds, numbers: list[int]):
        asked.append(list(numbers))
        for number, predicted in fit_here(recipe, folds, numbers, tmp_path / "node"):
            yield number, predicted
            if len(asked) == 1:
                raise ModelError("the driver is gone")

    with pytest.raises(ModelError, match="gone"):
        cross_validate(recipe, folds, tmp_path / "c", elsewhere)
    found = cross_validate(recipe, folds, tmp_path / "c", elsewhere)
    assert asked == [[0, 1], [1]]
    np.testing.assert_array_equal(found, cross_validate(recipe, folds, tmp_path / "here"))


@pytest.mark.parametrize(
    ("nodes", "folds", "cores"),
    [
        ([1, 1], 5, 1),
        ([16, 16, 16, 16], 5, 8),
        ([16, 16, 16, 16], 4, 16),
        ([8], 3, 2),
        ([32, 2], 2, 2),
        ([0, 4], 1, 4),
        ([], 5, 1),
    ],
)
def test_each_fold_has_as_many_cores_as_let_all_work_at_once_on_any_node(nodes, folds, cores):
    assert cores_each(nodes, folds) == cores


def test_training_stays_here_unless_a_cluster_is_named():
    assert chosen_cluster(training(), {}) is None
    assert chosen_cluster(training(), {ADDRESS: ""}) is None


def test_a_cluster_that_is_not_there_is_named_with_its_variable():
    with pytest.raises(ConfigError, match=rf"^{ADDRESS} 127.0.0.1:9: no cluster answers there: .*ray start --help"):
        chosen_cluster(training(), {ADDRESS: "127.0.0.1:9"})


def test_pictures_made_for_a_fold_are_made_here(caplog):
    made: TrainingConfig = training(balancing={"method": "pixel_smote"})
    assert chosen_cluster(made, {ADDRESS: "10.0.0.5:6379"}) is None
    assert f"{ADDRESS}: folds are fitted here, as `pixel_smote`" in caplog.text
