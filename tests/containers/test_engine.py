"""The serving image and compose.yaml in Docker, by the lines that the documentation has for it."""

import json
import os
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from engine import Engine
from images import FULL, SLIM, Builder, run
from served import ask

from aws_lambda import aws_lambda
from cnnClassifier.model_spec import digest_package
from cnnClassifier.tracking.connection import Connection
from cnnClassifier.tracking.released import import_release
from imports import ROOT
from mlflow_servers import SCRIPTS, MlflowServer
from served_app import wait_until_ready
from waiting import wait_until

pytestmark = [pytest.mark.containers, pytest.mark.timeout(3600)]

RELEASED = ROOT / "models/chest_ct"
APP, MLFLOW = "http://127.0.0.1:8080", "http://127.0.0.1:5000"
HEALTH = "{{.State.Health.Status}}"
EVENTS = "{{.TimeNano}} {{.Actor.Attributes.name}} {{.Action}}"
VERSIONS = "SELECT name, version FROM model_versions"
WAITED = [  # each service for the health of what it needs
    "cnnclassifier-database-1 start", "cnnclassifier-database-1 health_status: healthy",
    "cnnclassifier-mlflow-1 start", "cnnclassifier-mlflow-1 health_status: healthy", "cnnclassifier-app-1 start",
]  # fmt: skip
HARDENED = "--read-only --tmpfs /tmp --tmpfs /app/.cache --cap-drop ALL --security-opt no-new-privileges"


def lines_of(page: str, start: str) -> list[str]:
    """Commands of a page that begin so."""
    text = (ROOT / "docs" / page).read_text().replace("\\\n", " ")
    return [re.sub(" +", " ", line.strip()) for line in text.splitlines() if line.startswith(f"    {start}")]


@pytest.fixture(scope="module")
def engine(builder: Builder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """With every image that the documentation's lines and compose.yaml ask for."""
    builder.build_folder(ROOT / "deploy/mlflow", "mlflow", "--from", FULL)  # the slim one has no pip here
    builder.build_folder(Path(__file__).parent / "postgres", "postgres")
    engine = Engine(tmp_path_factory.mktemp("engine"))
    for base in (FULL, SLIM):
        engine.load(builder.lend(base), base.removeprefix("docker.io/library/"))
    (line,) = lines_of("serving.md", "docker build")
    run(*line.split(), cwd=ROOT, env=engine.environment)
    engine.load("mlflow", "cnnclassifier-mlflow")
    engine.load("postgres", "postgres:17-bookworm")
    yield engine
    engine.close()


def test_the_serving_image_that_docker_builds_is_below_450_mb(engine):
    assert 300e6 < int(engine.docker("image", "inspect", "--format", "{{.Size}}", "cnnclassifier")) < 450e6


def test_it_answers_as_the_documentation_starts_it(engine, picture, tmp_path):
    alone, mounted, _ = lines_of("serving.md", "docker run")
    with engine.running(alone, tmp_path) as server:
        wait_until_ready(APP, server)
        assert set(ask(APP, picture)["probabilities"]) >= {"normal", "adenocarcinoma"}
    assert server.returncode == 0
    shutil.copytree(RELEASED, tmp_path / "artifacts/registration/package")
    with engine.running(mounted, tmp_path) as server:
        wait_until_ready(APP, server)
        assert ask(APP, picture)["version"] == digest_package(RELEASED)
    assert server.returncode == 0


def test_it_takes_the_champion_of_the_server_that_env_names(engine, picture, tmp_path):
    (line,) = [line for line in lines_of("serving.md", "docker run") if "--env-file" in line]
    every = {"MLFLOW_SERVER_ALLOWED_HOSTS": "*"}
    mlflow = MlflowServer(SCRIPTS / "mlflow", tmp_path / "mlflow", environ=every, host="0.0.0.0").start()  # noqa: S104 the container is no loopback
    try:
        import_release(Connection(mlflow.wait()), RELEASED, tmp_path / "cache")
        (tmp_path / ".env").write_text(f"MLFLOW_TRACKING_URI=http://{engine.host}:{mlflow.port}\n")
        with engine.running(line, tmp_path) as app:
            wait_until_served("1", app)
            assert set(ask(APP, picture)["probabilities"]) >= {"normal", "adenocarcinoma"}
            (version,) = requests.get(f"{APP}/api/v1/models/chest_ct", timeout=30).json()["versions"]
        assert "champion" in version["aliases"]  # which only the server knows
    finally:
        mlflow.kill()


def test_without_capabilities_on_a_read_only_root_it_is_healthy(engine, picture, tmp_path):
    line = f"docker run --rm --name hardened {HARDENED} -p 8080:8080 cnnclassifier"
    with engine.running(line, tmp_path) as server:
        wait_until_ready(APP, server)
        ask(APP, picture)
        wait_until(lambda: engine.docker("inspect", "--format", HEALTH, "hardened") == "healthy", seconds=120, pause=1)
        status = engine.docker("exec", "hardened", "cat", "/proc/1/status")
    told = dict(line.split(":\t", 1) for line in status.splitlines())
    assert (told["Uid"].split()[0], int(told["CapEff"], 16), told["NoNewPrivs"]) == ("10001", 0, "1")
    assert told["Seccomp"] == "2"  # a filter of system calls
    assert server.returncode == 0


def test_compose_brings_up_app_mlflow_and_postgresql_and_the_app_takes_a_champion_from_there(engine, picture, tmp_path):
    (line,) = lines_of("deploy.md", "POSTGRES_PASSWORD=... docker compose")
    command = line.removeprefix("POSTGRES_PASSWORD=... ").replace("deploy/", f"{ROOT}/deploy/")
    started = time.time()
    with engine.running(command, tmp_path, POSTGRES_PASSWORD=secrets.token_hex()) as compose:
        wait_until_ready(APP, compose)
        assert [each for each in happened(engine, started) if each in WAITED] == WAITED
        assert ask(APP, picture)["version"] != "1"  # the model that comes with the code
        assert import_release(Connection(MLFLOW), RELEASED, tmp_path / "cache") == 1
        wait_until_served("1", compose)
        assert ask(APP, picture)["version"] == "1"
        tables = engine.docker("exec", "cnnclassifier-database-1", "psql", "--username=mlflow", "-Atc", VERSIONS)
    assert tables == "chest_ct|1"


def test_the_lambda_image_answers_behind_an_http_api(engine, picture, tmp_path):
    """As Lambda starts it: on a read-only root, and SIGKILL ends it."""
    (build,) = lines_of("deploy.md", "docker build -f deploy/lambda/")
    (question,) = lines_of("deploy.md", "curl")
    run(*build.split(), cwd=ROOT, env=engine.environment)
    shutil.copyfile(picture, tmp_path / "slice.png")
    key = secrets.token_hex()
    with aws_lambda("0.0.0.0") as aws:  # noqa: S104 the container is no loopback
        settings = f"-e AWS_LAMBDA_RUNTIME_API={engine.host}:{aws.server_port} -e CNNCLASSIFIER_API_KEY={key}"
        line = f"docker run --rm --name function {HARDENED} {settings} cnnclassifier-lambda"
        with engine.running(line, tmp_path):
            asked = question.replace("https://...", f"http://127.0.0.1:{aws.server_port}")
            answer = json.loads(run("bash", "-c", asked, cwd=tmp_path, env={**os.environ, "KEY": key}))
            engine.docker("kill", "function")
    assert answer["model"] == "chest_ct"
    assert set(answer["probabilities"]) >= {"normal", "adenocarcinoma"}


def happened(engine: Engine, since: float) -> list[str]:
    """Starts of containers and the first time that each was healthy, in order."""
    asked = ["--since", str(since), "--until", str(time.time()), "--format", EVENTS]
    kinds = ["--filter", "event=start", "--filter", "event=health_status"]
    told = sorted(engine.docker("events", *asked, *kinds).splitlines())
    return list(dict.fromkeys(line.split(" ", 1)[1] for line in told))


def wait_until_served(version: str, server: subprocess.Popen[bytes]) -> None:
    """The app looks for a new champion every half minute."""
    wait_until(lambda: wait_until_ready(APP, server).json()["version"] == version, seconds=120, pause=1)
