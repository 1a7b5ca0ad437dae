"""`make dagshub`, and a clone that pulls data, features and models and computes nothing again."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from imports import ROOT
from project import Project

TOKEN = "0123456789abcdef-a-token"  # noqa: S105
STAGES_RUN = re.compile(r"Running stage '(\w+)'")


@pytest.fixture(scope="module")
def dagshub(team, s3, tmp_path_factory) -> Project:
    """A copy of the team's project with its store at a DagsHub repository, everything pushed."""
    s3.client.create_bucket(Bucket="dvc")
    root = shutil.copytree(team.project.root, tmp_path_factory.mktemp("dagshub") / "project")
    project = at_dagshub(Project(root, {**team.project.environment, "PYTHONPATH": str(root / "src")}), s3)
    # As docs/dvc.md says for a store of one's own: it would win over the shared default.
    project.dvc("remote", "add", "--local", "--default", "store", str(tmp_path_factory.mktemp("own store")))
    said = project.main("dagshub", "jane", "chest-ct").stdout
    assert f"{s3.endpoint}/jane/chest-ct.s3" in said
    assert TOKEN not in said
    project.main("features", "--share")
    project.commit("a store for the team")
    project.dvc("push")
    return project


def at_dagshub(project: Project, s3) -> Project:
    return Project(project.root, {**project.environment, "DAGSHUB_CLIENT_HOST": s3.endpoint, "DAGSHUB_TOKEN": TOKEN})


def test_the_token_is_in_no_file_that_git_sees(dagshub, s3):
    seen = dagshub.run("git", "grep", "--untracked", "-l", "-I", "-e", TOKEN, check=False)
    assert seen.stdout == ""
    assert TOKEN in (dagshub.root / ".dvc/config.local").read_text()
    assert (dagshub.root / ".dvc/config.local").stat().st_mode & 0o077 == 0
    shared = dagshub.run("git", "show", "HEAD:.dvc/config").stdout
    assert f"endpointurl = {s3.endpoint}/jane/chest-ct.s3" in shared
    assert "url = s3://dvc\n" in shared
    assert f"MLFLOW_TRACKING_URI={s3.endpoint}/jane/chest-ct.mlflow\n" in (dagshub.root / ".env").read_text()
    assert TOKEN in s3.users  # DVC's access key


def test_a_fresh_clone_pulls_everything_and_reruns_nothing(dagshub, team, s3, tmp_path):
    clone = clone_of(dagshub, tmp_path / "clone")
    at_dagshub(clone, s3).main("dagshub", "jane", "chest-ct")
    assert clone.run("git", "status", "--porcelain").stdout == ""
    clone.dvc("pull")
    for file in (
        "training/model/model.weights.h5",
        "registration/package/model.onnx",
        "registration/registration.json",
    ):
        assert (clone.root / "artifacts" / file).read_bytes() == (dagshub.root / "artifacts" / file).read_bytes()
    assert len(list((clone.root / "artifacts/data_ingestion/images").rglob("*.png"))) > 0
    assert STAGES_RUN.findall(clone.dvc("repro").stdout) == []
    assert "up to date" in clone.dvc("status").stdout

    clone = Project(clone.root, {**team.project.environment, "PYTHONPATH": clone.environment["PYTHONPATH"]})
    # On the team's server, which knows the model, and then in a registry of its own, which does not.
    (clone.root / ".env").write_text(f"MLFLOW_TRACKING_URI={team.server.uri}\n")
    done = clone.main()
    assert STAGES_RUN.findall(done.stdout) == []
    assert "version 1 (champion)" in done.stdout
    (clone.root / ".env").write_text("MLFLOW_TRACKING_URI=sqlite:///mlflow.db\n")
    done = clone.main()
    assert STAGES_RUN.findall(done.stdout) == ["registration"]
    registered = json.loads((clone.root / "artifacts/registration/registration.json").read_text())
    assert (registered["version"], registered["champion"]) == (1, True)

    # What frozen layers say of the images came along: training anew computes no feature.
    clone.set_params(training__epochs=3)
    assert "taking the frozen features" not in clone.main("training").stderr
    assert shards(clone) == shards(dagshub)


def shards(project: Project) -> set[str]:
    store = project.root / ".cache/cnnClassifier/features"
    return {str(file.relative_to(store)) for file in store.rglob("*.npy")}


def clone_of(project: Project, root: Path) -> Project:
    subprocess.run(["git", "clone", "--quiet", project.root, root], check=True)
    return Project(root, {**project.environment, "PYTHONPATH": str(root / "src")})


@pytest.mark.parametrize(
    ("arguments", "token", "said"),
    [
        (("jane", "chest-ct"), "", "DAGSHUB_USER_TOKEN=<token>"),
        (("jane/chest-ct", "x"), TOKEN, "is no name at DagsHub"),
        (("", ""), TOKEN, "is no name at DagsHub"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(project, arguments, token, said):
    project = Project(project.root, {**project.environment, "DAGSHUB_TOKEN": token, "HOME": str(project.root)})
    before = (project.root / ".dvc/config").read_text()
    done = project.main("dagshub", *arguments, check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert (project.root / ".dvc/config").read_text() == before
    assert not (project.root / ".dvc/config.local").exists()


def test_a_token_that_git_would_see_is_refused(project):
    project = Project(project.root, {**project.environment, "DAGSHUB_TOKEN": TOKEN})
    (project.root / ".gitignore").write_text("")
    done = project.main("dagshub", "jane", "chest-ct", check=False)
    assert done.returncode == 2
    assert "git would see the token" in done.stderr
    assert not (project.root / ".dvc/config.local").exists()


def test_make_dagshub_is_that_command(project):
    dry = ["make", "--dry-run", "--old-file=.venv/.run", "dagshub", "OWNER=jane", "REPO=chest-ct"]
    done = subprocess.run(dry, cwd=ROOT, capture_output=True, text=True, check=True)
    assert 'main.py dagshub "jane" "chest-ct"' in done.stdout
