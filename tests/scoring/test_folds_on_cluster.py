"""Folds of a training on a cluster of two nodes: what comes of them is what comes of fitting them here."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cluster_commands import audited_project, begin
from ray_nodes import SECONDS, SETTINGS

from cnnClassifier.components.prepare_base_model import PrepareBaseModel
from cnnClassifier.config.loading import load_project, load_settings
from cnnClassifier.config.types import Paths
from cnnClassifier.errors import ModelError
from cnnClassifier.fold_cluster import ATTEMPTS, rows_of
from cnnClassifier.ray_cluster import Cluster, connected, pool, tell_if_busy
from environment import clean_environment
from project import Project
from waiting import wait_until

pytestmark = pytest.mark.cluster

FOLDS, EPOCHS = 5, 40  # so long that there is time to kill somebody
RESULTS = ("model", "out_of_fold", "history")
# As many as a fold has on the nodes: convolutions summed by more threads differ in their last digits.
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A tiny project before training, of which a whole small network is fitted. It is the working directory."""
    changes = {
        "prepare_base_model__freeze": "none",
        "prepare_base_model__head": {"pooling": "mean", "hidden_units": 0, "dropout": 0.2},
        "training__augmentation__views": 2,
        "training__folds": FOLDS,
        "training__epochs": EPOCHS,
        "training__patience": EPOCHS,
        "data_ingestion__source__patients_per_class": 20,
    }
    environment = clean_environment() | ONE_THREAD
    with audited_project(tmp_path_factory.mktemp("folds") / "project", environment, **changes) as project:
        PrepareBaseModel(load_settings().prepare_base_model, load_project().paths).run()
        yield project


@pytest.fixture(scope="module")
def here(prepared: Project) -> dict[str, bytes]:
    """What training writes without a cluster; it is taken away, so that nobody finds it there."""
    paths = load_project().paths
    prepared.main("training")
    written = results(paths)
    for name in RESULTS:
        path = Path(getattr(paths, name))
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return written


@pytest.fixture
def start(prepared: Project, cluster: tuple[str, dict[str, str]]) -> Callable[[], subprocess.Popen]:
    """Begins a training whose folds are fitted on the cluster."""
    address, environment = cluster
    return lambda: begin(prepared, environment | {"CNNCLASSIFIER_TRAINING_RAY": address}, "training")


def test_a_node_and_then_the_driver_killed_change_nothing_in_the_results(start, node, here):
    paths = load_project().paths
    running = start()
    wait_until(lambda: node.is_at_work and len(finished(paths)) > 0, running, seconds=SECONDS)
    node.kill()
    done = len(finished(paths))
    wait_until(lambda: len(finished(paths)) > done, running, seconds=SECONDS)
    running.kill()
    running.wait()
    before = finished(paths)
    assert len(before) < FOLDS

    again = start()
    _, said = again.communicate(timeout=SECONDS)
    assert again.returncode == 0, said
    assert f"fitting {FOLDS - len(before)} folds on the Ray cluster" in said
    assert results(paths) == here


def test_a_cluster_that_is_not_there_is_one_line_before_anything_is_fitted(prepared):
    environment = prepared.environment | {"CNNCLASSIFIER_TRAINING_RAY": "127.0.0.1:9"}
    done = Project(prepared.root, environment).main("training", check=False)
    assert done.returncode == 2
    assert "CNNCLASSIFIER_TRAINING_RAY 127.0.0.1:9: no cluster answers there" in done.stderr.splitlines()[-1]
    assert "fitting on" not in done.stderr


def test_what_kills_its_worker_each_time_ends_in_one_line(cluster, monkeypatch):
    class Killer:  # here, so that it is sent whole: nodes do not have this module
        def __call__(self, _):
            os._exit(1)

    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    asked = Cluster(cluster[0])
    with connected(asked) as ray:
        killed = ray.data.from_items([{"number": 0}]).map_batches(Killer, **ATTEMPTS, **pool(ray, asked, 1, waiting=1))
        with pytest.raises(ModelError, match=r"^the Ray cluster gave up, .*: The actor died unexpectedly [^\n]*$"):
            list(rows_of(ray, killed))


def test_a_cluster_that_is_at_work_for_others_is_waited_for_with_a_word(cluster, monkeypatch, caplog):
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    asked = Cluster(cluster[0])
    with connected(asked) as ray:
        taken = ray.util.placement_group([{"CPU": 1}] * int(ray.cluster_resources()["CPU"]))
        ray.get(taken.ready(), timeout=SECONDS)
        tell_if_busy(ray, asked)
        assert "has no core to spare; waiting until there is one" in caplog.text
        ray.util.remove_placement_group(taken)


def results(paths: Paths) -> dict[str, bytes]:
    """Every file that training writes and later stages read."""
    found = [Path(getattr(paths, name)) for name in RESULTS]
    files = [file for path in found for file in ([path] if path.is_file() else sorted(path.iterdir()))]
    return {file.name: file.read_bytes() for file in files}


def finished(paths: Paths) -> list[Path]:
    return list((paths.cache / "checkpoints").rglob("*.predicted.npy"))
