"""What Dockerfile, Compose, Kubernetes and make say, held against the server that they run."""

import http.server
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
import yaml

from cnnClassifier.config.loading import load_project
from imports import ROOT

COMPOSE = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"]
DEPLOYMENT = yaml.safe_load((ROOT / "deploy/kubernetes/deployment.yaml").read_text())["spec"]["template"]["spec"]
GRACE = load_project(ROOT / "config/config.yaml").serving.grace_seconds


class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path in ("/ready", "/health") else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Healthy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def health_checks() -> dict[str, list[str]]:
    (of_image,) = re.findall(r"HEALTHCHECK .*?CMD (\[.*?\])\n", (ROOT / "Dockerfile").read_text(), re.DOTALL)
    return {"Dockerfile": json.loads(of_image), "compose": COMPOSE["mlflow"]["healthcheck"]["test"][1:]}


@pytest.mark.parametrize("check", health_checks().values(), ids=health_checks())
def test_health_checks_do_not_go_through_the_proxy_of_a_site(check, port):
    program = check[2].replace("127.0.0.1:5000", f"127.0.0.1:{port}")
    environment = os.environ | {"http_proxy": "http://127.0.0.1:9", "PORT": str(port)}
    environment.pop("no_proxy", None)
    assert check[:2] == ["python", "-c"]
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=30)


def test_containers_are_not_killed_while_requests_may_be_finished():
    (container,) = DEPLOYMENT["containers"]
    waited = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert DEPLOYMENT["terminationGracePeriodSeconds"] > waited + GRACE
    assert int(COMPOSE["app"]["stop_grace_period"].removesuffix("s")) > GRACE


def test_make_ui_shows_no_password():
    environment = os.environ | {"MLFLOW_TRACKING_URI": "https://joe:secretpw@mlflow.example.org/team"}
    command = ["make", "--no-print-directory", "-o", ".venv/.run", "ui"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "your runs are at https://***@mlflow.example.org/team\n"
