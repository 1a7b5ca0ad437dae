"""What the pages tell to type runs: each line once, in its page's order, in a project with a small finished run.

Folders at hand stand in for a page's folders, moto's server for S3, a free port for a server's own, plans of two trials
for sweeps. Lines that another test types are listed here with where.
"""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest
import requests
from commands import PAGES, blocks_of, typed
from finished_run import finished_run
from test_asking import ASKED

from imports import ROOT
from mlflow_servers import free_port
from project import Project
from s3_server import s3_server
from served_app import served, wait_until_ready

pytestmark = [pytest.mark.documentation, pytest.mark.timeout(900)]

# Where what such a line says is typed or done.
ELSEWHERE = {
    r"--experiment chest_ct$": "tests/real/test_chest_ct.py",
    r"--experiment mine": "docs/own_data.md",
    r"main\.py score .*--ray": "tests/scoring/test_cluster.py",
    r"main\.py features --ray": "tests/scoring/test_features_on_cluster.py",
    r"^CNNCLASSIFIER_TRAINING_RAY=": "tests/scoring/test_folds_on_cluster.py",
    r"^ray start": "tests/scoring/ray_nodes.py",
    r"postgresql://": "tests/services/test_shared_sweeps.py",
    r"^dvc (exp run --queue|queue)": "tests/services/test_experiment_queue.py",
    r"^make tracking-server": "tests/services/test_tracking_server.py",
    r"^make dagshub|^git add \.dvc/config": "tests/services/test_dvc_store.py",
    r"^(pip install|cnnclassifier) ": "tests/packaging/test_wheel.py",
    r"^docker (run|build)|docker compose": "tests/containers/test_engine.py",
    r"^pytest |^make (test|check|test-docs)$": ".ci/run",
    r"^make licences$": "tests/test_licences.py",
    r"^make docs$": "tests/documentation/test_pages.py",
    r"^make run$": "tests/pipeline/conftest.py",
    r"datasets\.tissue": "tests/datasets/test_tissue.py",
    r"-lambda|/detect": "tests/containers/test_engine.py",
    r"^kubectl apply": "tests/containers/test_kubernetes.py",
    r"^python benchmarks/": "tests/test_benchmarks.py",
    r"^make (fuzz|format|audit|sbom)$": "tests/documentation/test_make.py",
    r"^make (test-packaging|test-containers)$": "Makefile",
}
STAND_INS = {
    "~/scans": "scans", "/data/scans": "scans", "/data/test": "scans", "/where/your/scans/are": "scans",
    "/mnt/share": "../share", "<name>": "chest_ct", "other_model": "mine", "chest_ct/3": "chest_ct/1",
    "promote 7": "promote 2",
}  # fmt: skip
SERVERS = {"app.py": "/ready", "mlflow models serve": "/ping"}
# They end with 1 where they have something to tell: drift, a file that cannot be read.
TELLING = ("main.py drift", "main.py predict", "main.py score", "main.py evaluate")
FIRST = ("README.md", "command_line.md")  # later pages ask the models that these register


def lines() -> Iterator[str]:
    """The lines of all blocks that no other test runs as they are."""
    for page in sorted(PAGES, key=lambda page: (page.name not in FIRST, page.name)):
        for block in blocks_of(page):
            if not block.executed:
                yield from typed(block)


def listed(table: dict[str, str], line: str) -> bool:
    return any(re.search(pattern, line) for pattern in table)


LINES = list(dict.fromkeys(lines()))
TYPED = [line for line in LINES if not listed(ELSEWHERE, line) and line not in ASKED]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with s3_server() as store:
        yield finished_run(tmp_path_factory.mktemp("typed"), store)


def as_here(line: str) -> str:
    for theirs, ours in STAND_INS.items():
        line = line.replace(theirs, ours)
    return line


def before(line: str, project: Project) -> None:
    """What a line takes for granted and no line before it has done."""
    if any(each in line for each in ("drift", "feedback", "backup")):
        ask_and_label(project)
    if "main.py release" in line:
        # A run is released that is finished: single stages were run since, and results came out of DVC's cache.
        project.dvc("repro", "--force", "--single-item", "registration")
    if "--out answers/" in line:
        # The champion may be another by now, and a folder holds answers of one.
        shutil.rmtree(project.root / "answers", ignore_errors=True)
    if "main.py restore" in line:
        for path in (*project.root.glob("mlruns"), *project.root.glob("mlflow.db"), *project.root.glob("log")):
            path.rename(f"{path}.gone-{time.time_ns()}")
    if "models predict" in line:
        example = next(project.root.glob("mlruns/**/serving_input_example.json"))
        shutil.copyfile(example, project.root / "request.json")


def ask_and_label(project: Project) -> None:
    """Fill the prediction log with answers, and a reader's label of one."""
    with served(project) as address:
        batch = {"image": (project.root / "more.zip").open("rb")}
        answer = requests.post(f"{address}/api/v1/batch", files=batch, timeout=120).json()
        label = {"request_id": answer["request_id"], "item": 0, "label": "normal"}
        requests.post(f"{address}/api/v1/feedback", json=label, timeout=30).raise_for_status()


def run(line: str, project: Project) -> None:
    done = project.run("bash", "-euo", "pipefail", "-c", line, check=False)
    told = done.stdout + done.stderr
    assert "Traceback" not in told
    assert done.returncode == 0 or (done.returncode == 1 and any(each in line for each in TELLING)), told


def serve(line: str, health: str, project: Project) -> None:
    """Start a server, wait until it is well, and stop it."""
    port = free_port()
    line = re.sub(r"-p 5001", f"-p {port}", line)
    environment = {**project.environment, "PORT": str(port)}
    with subprocess.Popen(["bash", "-c", line], cwd=project.root, env=environment, start_new_session=True) as process:
        try:
            wait_until_ready(f"http://127.0.0.1:{port}", process, path=health)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)


@pytest.mark.parametrize("line", TYPED)
def test_a_line_works(line, project):
    before(line, project)
    health = next((health for server, health in SERVERS.items() if server in line), None)
    if health:
        serve(as_here(line), health, project)
    else:
        run(as_here(line), project)
    if re.search(r"main\.py train |dvc exp run", line):
        # Other lines are about the experiment as it was; DVC knows its results.
        project.run("git", "checkout", "--quiet", "params.yaml")
        project.main()


def test_every_line_is_run_here_or_listed_with_where():
    assert len(TYPED) > 50
    for pattern in ELSEWHERE:
        assert any(re.search(pattern, line) for line in LINES), f"no page has {pattern}"
    assert not [place for place in ELSEWHERE.values() if not (ROOT / place).exists()]
