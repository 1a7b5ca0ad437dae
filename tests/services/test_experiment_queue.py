"""`dvc exp run --queue` and `dvc queue start`: experiments that wait their turn, each in a folder of its own."""

import json
import shutil
import subprocess
import sys
import time

import pytest

from project import Project


@pytest.fixture
def project(team, tmp_path) -> Project:
    """A copy of the team's project, whose cache holds what comes before training."""
    root = shutil.copytree(team.project.root, tmp_path / "project")
    return Project(root, {**team.project.environment, "PYTHONPATH": str(root / "src")})


def test_queued_experiments_are_run_by_two_workers_and_logged_to_the_teams_server(project, team):
    from mlflow import MlflowClient

    for rate in (0.002, 0.02):
        project.dvc("exp", "run", "--queue", "--name", f"rate-{rate}", "-S", f"training.learning_rate={rate}")
    # Not to a pipe: the workers go on after the command has ended, and keep what they were given to write to.
    with (project.root / "queue.log").open("w") as log:
        command = [sys.executable, "-m", "dvc", "queue", "start", "--jobs", "2"]
        subprocess.run(command, cwd=project.root, env=project.environment, stdout=log, stderr=log, check=True)
    try:
        wait_until_done(project)
    finally:
        project.dvc("queue", "stop", "--kill")
    shown = json.loads(project.dvc("exp", "show", "--json").stdout)
    names = [experiment["name"] for commit in shown for experiment in commit.get("experiments") or []]
    assert {"rate-0.002", "rate-0.02"} <= set(names)

    client = MlflowClient(team.server.uri)
    (experiment,) = (each for each in client.search_experiments() if each.name == "phantom")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    for rate in ("0.002", "0.02"):
        run = runs[f"rate-{rate}"]
        assert (run.info.status, run.data.params["training.learning_rate"]) == ("FINISHED", rate)
    assert "0.002" not in (project.root / "params.yaml").read_text()  # the workspace is as it was


def wait_until_done(project: Project, seconds: int = 560) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        status = project.dvc("queue", "status").stdout
        assert "Failed" not in status, project.dvc("queue", "logs", "rate-0.002", check=False).stdout
        if status.count("Success") == 2:
            return
        time.sleep(2)
    raise AssertionError(status)
