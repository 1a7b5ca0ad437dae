"""deploy/prometheus: rules that promtool takes and that fire when they should, of figures that the app really has."""

import io
import re
import subprocess
from contextlib import closing

import pytest
import yaml
from tiny_app import CONFIG, app_serving
from tiny_model import picture

from cnnClassifier.monitoring.drift import Finding
from cnnClassifier.monitoring.entries import read_log
from cnnClassifier.monitoring.reading import Checked, save_check
from imports import ROOT

FOLDER = ROOT / "deploy/prometheus"
RULES = [rule for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"] for rule in group["rules"]]


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)


@pytest.mark.services
def test_promtool_takes_the_rules():
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", "alerts.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(RULES)} rules found" in done.stdout


@pytest.mark.services
def test_each_rule_fires_when_it_should_and_not_before():
    done = promtool("test", "rules", "alerts_test.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_rule_has_a_case_in_which_it_fires():
    cases = yaml.safe_load((FOLDER / "alerts_test.yaml").read_text())["tests"]
    fired = {each["alertname"] for case in cases for each in case["alert_rule_test"] if each["exp_alerts"]}
    assert fired == {rule["alert"] for rule in RULES}


def test_the_app_has_every_figure_that_a_rule_asks_for(deciding, tmp_path):
    config = CONFIG.model_copy(update={"prediction_log": tmp_path / "log.db", "feedback": True})
    app = app_serving(deciding, config)
    client = app.test_client()
    client.post("/predict", data={"image": (io.BytesIO(picture()), "a.png")})
    app.extensions["journal"].close()
    with closing(read_log(tmp_path / "log.db")) as log:
        save_check(log, Checked(1.0, "deciding", "8", 50, (Finding("noise", "distance", 0.5, 0.1, 0.1, 1.0, False),)))
    figures = client.get("/metrics").text
    asked = {name for rule in RULES for name in re.findall(r"cnnclassifier_\w+", rule["expr"])}
    assert asked
    assert not [name for name in asked if f"\n{name}{{" not in figures and f"\n{name} " not in figures]
