"""features --ray, on a cluster of two nodes: the store is as training itself would fill it, whoever is killed."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from cluster_commands import audited_project, begin
from ray_nodes import SECONDS

from cnnClassifier.augmentation import all_views
from cnnClassifier.components.evaluation import Evaluation
from cnnClassifier.components.prepare_base_model import PrepareBaseModel
from cnnClassifier.components.training import Training
from cnnClassifier.config.loading import load_project, load_settings
from cnnClassifier.config.types import Paths
from cnnClassifier.datasets.manifest import read_manifest
from cnnClassifier.errors import ConfigError
from cnnClassifier.feature_filling import fill_features, open_untrained
from cnnClassifier.features.network import PLAIN
from cnnClassifier.features.spaces import root_of, survey
from cnnClassifier.features.store import shard_keys
from cnnClassifier.ray_cluster import Cluster
from environment import clean_environment
from project import Project
from tiny_pipeline import contents
from waiting import wait_until

pytestmark = pytest.mark.cluster

PATIENTS, VIEWS = 30, 60  # so many that there is time to kill somebody, even where the second node begins late

Kept = dict[str, bytes]


@pytest.fixture(scope="module")
def eight_bits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A tiny project in eight bits whose images are there, audited. It is the working directory."""
    changes = {
        "prepare_base_model__head": {"pooling": "mean", "hidden_units": 0, "dropout": 0.0},
        "prepare_base_model__precision": "int8",
        "training__augmentation__views": VIEWS,
        "data_ingestion__source__patients_per_class": PATIENTS,
    }
    with audited_project(tmp_path_factory.mktemp("features") / "project", clean_environment(), **changes) as project:
        yield project


@pytest.fixture
def start(eight_bits: Project, cluster: tuple[str, dict[str, str]]) -> Callable[[], subprocess.Popen]:
    """Begins the command that fills the store."""
    address, environment = cluster
    return lambda: begin(eight_bits, environment, "features", "--ray", address)


@pytest.fixture(scope="module")
def local(eight_bits: Project, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """The features that are computed without Ray, into another store."""
    settings, paths = load_settings(), load_project().paths
    paths = paths.model_copy(update={"cache": tmp_path_factory.mktemp("local")})
    features, records = open_untrained(settings, paths), read_manifest(paths.audited_manifest)
    views = all_views(settings.training.augmentation, settings.training.seed)
    features.ensure([record for record in records if record.split != "test"], views)
    features.ensure([record for record in records if record.split == "test"], [PLAIN])
    return kept(paths)


def test_a_node_and_then_the_driver_killed_cost_no_feature_and_double_none(start, node, local):
    paths = load_project().paths
    running = start()
    wait_until(lambda: node.is_at_work and len(shards(paths)) > 5, running, seconds=SECONDS)
    node.kill()
    lost_at = len(shards(paths))
    wait_until(lambda: len(shards(paths)) > lost_at + 5, running, seconds=SECONDS)
    running.kill()
    running.wait()
    before = kept(paths)
    assert before.items() < local.items()

    again = start()
    said, _ = again.communicate(timeout=SECONDS)
    assert again.returncode == 0
    assert kept(paths) == local
    told = said.splitlines()[-1]  # after what Ray says of the node that was lost
    assert told.startswith(f"{len(local) - len(before):,} features computed in ")
    assert told.endswith(f"; {len(before):,} were there")


def test_training_and_evaluation_then_compute_nothing(eight_bits, local):
    settings, paths = load_settings(), load_project().paths
    assert kept(paths) == local
    there = contents(root_of(paths.cache))
    PrepareBaseModel(settings.prepare_base_model, paths).run()
    Training(settings.training, paths).run()
    Evaluation(settings.evaluation, paths).run()
    assert contents(root_of(paths.cache)) == there


def test_what_takes_tensorflow_is_refused(eight_bits):
    eight_bits.set_params(prepare_base_model__precision="float32")
    with pytest.raises(ConfigError, match=r"prepare_base_model.precision to int8.*float32"):
        fill_features(load_settings(), load_project().paths, Cluster("127.0.0.1:9"))


def shards(paths: Paths) -> list[Path]:
    return [file for space in survey(root_of(paths.cache)) for file in shard_keys(space.folder)]


def kept(paths: Paths) -> Kept:
    """Every feature in a store; each may be there only once."""
    found = [
        (key, features.tobytes())
        for file in shards(paths)
        for key, features in zip(json.loads(file.read_text()), np.load(file.with_suffix(".npy")), strict=True)
    ]
    assert len(found) == len(dict(found))
    return dict(found)
