"""What a node of a cluster does with folds, done here: it needs no image and no frozen part, and finds the same."""

import pickle

import numpy as np
import pytest

from cnnClassifier.config.types import TrainingConfig
from cnnClassifier.cross_validation import cross_validate, fit_here
from cnnClassifier.datasets.manifest import read_manifest
from cnnClassifier.errors import ConfigError, ModelError
from cnnClassifier.features.network import open_features
from cnnClassifier.fitting import make_deterministic
from cnnClassifier.fold_cluster import ADDRESS, chosen_cluster, fit_rows, fits_of, open_recipe, shards_of
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
    config = training(schedule="cosine", augmentation={"views": 2})
    make_deterministic(config.seed)
    model, spec = load_model(paths.base_model)
    parts = cut(model, spec.freeze)
    recipe = Recipe(parts.tail, open_features(parts, spec, paths), spec, config)
    recipe.rates = [0.01, 0.002]
    records = [record for record in read_manifest(paths.audited_manifest) if record.split != "test"]
    return recipe, Folds(records, deal_folds(records, 2, config.seed), EPOCHS)


def test_a_fold_is_what_it_is_where_training_was_started(started, tmp_path):
    recipe, folds = started
    there = open_recipe(sent(recipe, folds), shards_of(recipe, folds), tmp_path / "there")
    assert not there.features.images.exists()
    expected = dict(fit_here(recipe, folds, folds.numbers, tmp_path / "here"))
    for row in fit_rows(there, folds, reversed(folds.numbers), tmp_path / "there"):
        assert not row.get("error")
        assert row["probabilities"] == expected[row["number"]].tobytes()


def test_a_fit_that_diverges_is_told_as_an_error(started, tmp_path):
    recipe, folds = started
    fits = sent(recipe, folds)
    fits.untrained[-1][:] = np.nan
    there = open_recipe(fits, shards_of(recipe, folds), tmp_path)
    (row,) = fit_rows(there, folds, [1], tmp_path)
    assert row["number"] == 1
    assert row["error"].startswith("training diverged in epoch 1")


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
        ([32, 2], 2, 16),
        ([0, 4], 1, 4),
        ([], 5, 1),
    ],
)
def test_each_fold_has_as_many_cores_as_let_all_work_at_once(nodes, folds, cores):
    assert cores_each(nodes, folds) == cores


def test_training_stays_here_unless_a_cluster_is_named():
    assert chosen_cluster(training(), {}) is None
    assert chosen_cluster(training(), {ADDRESS: ""}) is None
    assert chosen_cluster(training(), {ADDRESS: "auto"}).address == "auto"


def test_a_cluster_that_is_not_there_is_named_with_its_variable():
    with pytest.raises(ConfigError, match=rf"^{ADDRESS} 127.0.0.1:9: no cluster answers there: .*ray start --help"):
        chosen_cluster(training(), {ADDRESS: "127.0.0.1:9"})


def test_pictures_made_for_a_fold_are_made_here(caplog):
    made: TrainingConfig = training(balancing={"method": "pixel_smote"})
    assert chosen_cluster(made, {ADDRESS: "auto"}) is None
    assert f"{ADDRESS}: folds are fitted here, as `pixel_smote`" in caplog.text


def sent(recipe: Recipe, folds: Folds):
    """What arrives at a node."""
    return pickle.loads(pickle.dumps(fits_of(recipe, folds)))  # noqa: S301
