"""score --ray, on a cluster of two nodes: each image answered once, as here, whoever is killed meanwhile."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from answers import many_pictures, parts_of, rows_of
from ray_nodes import SECONDS

from cnnClassifier.scoring.run import Wish, score_images
from project import Project
from waiting import wait_until

pytestmark = pytest.mark.cluster

IMAGES, PART = 6000, 20


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = many_pictures(tmp_path_factory.mktemp("images"), IMAGES, side=256)
    (folder / "broken.png").write_text("no picture")
    return folder


@pytest.fixture(scope="module")
def local(project: Project, images: Path, package: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """The rows of the same images, answered here."""
    out = tmp_path_factory.mktemp("local") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.root)
        score_images(str(images), out, Wish(package=package, part=PART))
    return rows_of(out)


@pytest.fixture
def start(project: Project, cluster, images: Path, package: Path, tmp_path: Path) -> Callable[[], subprocess.Popen]:
    """Begins the command that scores the images on the cluster into `tmp_path`/out."""
    address, environment = cluster
    command = [sys.executable, "main.py", "score", str(images), "--out", str(tmp_path / "out"), "--package"]
    command += [str(package), "--part", str(PART), "--ray", address]
    return lambda: subprocess.Popen(command, cwd=project.root, env=project.environment | environment)


def test_a_node_killed_half_way_costs_no_answer_and_doubles_none(start, node, local, tmp_path):
    running = start()
    wait_until(lambda: node.is_at_work and len(parts_of(tmp_path / "out")) > 30, running, seconds=SECONDS)
    node.kill()
    answered = len(parts_of(tmp_path / "out"))
    assert answered < IMAGES / PART
    assert running.wait(SECONDS) == 1  # the broken file
    assert rows_of(tmp_path / "out") == local


def test_a_driver_killed_half_way_goes_on_where_it_was(start, node, local, tmp_path):
    running = start()
    wait_until(lambda: len(parts_of(tmp_path / "out")) > 30, running, seconds=SECONDS)
    running.kill()
    running.wait()
    before = parts_of(tmp_path / "out")
    assert len(before) < IMAGES / PART
    assert start().wait(SECONDS) == 1
    assert before.items() <= parts_of(tmp_path / "out").items()
    assert rows_of(tmp_path / "out") == local


def test_a_cluster_that_is_not_there_is_one_line(project, package, images, tmp_path):
    command = ["score", str(images), "--out", str(tmp_path / "out"), "--package", str(package), "--ray", "127.0.0.1:9"]
    done = project.main(*command, check=False)
    assert done.returncode == 2
    assert "--ray 127.0.0.1:9: no cluster answers there" in done.stderr.splitlines()[-1]
