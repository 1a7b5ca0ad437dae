"""Every benchmark runs to its end, on little, so that it is in order when there is a quiet machine to measure on."""

import re
import subprocess
import sys

import pytest

from environment import clean_environment
from imports import ROOT
from project import Project, copy_project, make_tiny
from random_weights import save_random_weights

pytestmark = [pytest.mark.benchmarks, pytest.mark.timeout(1200)]

SMALL = {
    "drift": "{images} --other {images} --model {released} --cache {scratch} --splits 5 --sizes 30 --shifts noise~3",
    "engines": "--project {project} --sizes 64 --rounds 1",
    "features": "--project {project} --images 200",
    "fine_tuning": "--project {project} --epochs 1",
    "folds": "--project {project} --epochs 2",
    "heads": "--project {project} --deals 1",
    "int8": "--project {project} --deals 2",
    "maps": "--rounds 1",
    "near_copies": "--images 1000",
    "pointing": "--project {project}",
    "scoring": "--images 100 --ray",
    "serving": "--package {package} --seconds 1 --tensorflow --family --servers",
    "startup": "--project {project} --times 1",
    "training": "--images {images} --steps 4",
}
PARTS = {"family", "family_app", "held_out", "load", "machine", "sample_pictures"}  # of those above


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A finished and released run of the phantom, small, on VGG16 in eight bits, and a folder of weights for it."""
    folder = tmp_path_factory.mktemp("measured")
    project = copy_project(folder / "project", {**clean_environment(), "CNNCLASSIFIER_WEIGHTS_DIR": str(folder)})
    make_tiny(project)
    project.set_params(prepare_base_model__precision="int8", prepare_base_model__head__also=[])  # cut at any block
    project.main()
    project.main("release")
    save_random_weights(folder, "VGG16")
    return project


@pytest.mark.parametrize("name", SMALL)
def test_it_measures_something(name, project, tmp_path):
    """By the command that its docstring tells, with smaller numbers."""
    places = {
        "project": project.root, "images": project.root / "artifacts/data_ingestion/images",
        "package": project.root / "artifacts/registration/package", "released": project.root / "models/phantom",
        "scratch": tmp_path,
    }  # fmt: skip
    options = [part.format(**places).replace("~", " ") for part in SMALL[name].split()]
    command = [sys.executable, f"benchmarks/{name}.py", *options]
    done = subprocess.run(command, cwd=ROOT, env=environment(project), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert re.search(r"\d", done.stdout)
    assert "nan" not in done.stdout.split()


def environment(project: Project) -> dict[str, str]:
    """The project's own, but on the sources here, and without the real data set."""
    kept = {name: value for name, value in project.environment.items() if name != "KAGGLEHUB_CACHE"}
    return {**kept, "PYTHONPATH": str(ROOT / "src")}


def test_none_is_left_out():
    assert {path.stem for path in (ROOT / "benchmarks").glob("*.py")} == set(SMALL) | PARTS
