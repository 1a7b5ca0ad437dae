"""Targets for a person at the terminal, in a copy of the project, with the environment that runs this."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from environment import clean_environment
from imports import ROOT

pytestmark = pytest.mark.documentation

NOT_COPIED = (".git", ".venv*", ".cache", "artifacts", "mlruns", "mlflow.db", "_build", "__pycache__", "*.onnx")
PACKAGE = re.compile(r"^[a-z0-9][\w.-]*(?:\[[\w,-]+\])?==", re.MULTILINE)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns(*NOT_COPIED), symlinks=True)
    return root


def make(root: Path, target: str, *settings: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "--old-file=.venv/.dev", f"BIN={Path(sys.executable).parent}", target, *settings]
    return subprocess.run(command, cwd=root, env=clean_environment(), capture_output=True, text=True, check=False)


def test_format_mends_what_is_crooked_and_nothing_else(copy):
    before = {path: path.read_bytes() for path in copy.rglob("*.py")}
    (copy / "crooked.py").write_text('"""A module."""\nimport os\nx  =  1\n')
    assert make(copy, "format").returncode == 0
    assert (copy / "crooked.py").read_text() == '"""A module."""\n\nx = 1\n'
    assert {path: path.read_bytes() for path in before} == before


def test_sbom_lists_every_package_of_the_locks(copy):
    done = make(copy, "sbom")
    assert done.returncode == 0, done.stderr
    for name, lock in {"serve": "requirements-serve.lock", "train": "requirements.lock"}.items():
        told = json.loads((copy / f"dist/sbom-{name}.json").read_text())
        assert (told["bomFormat"], told["specVersion"]) == ("CycloneDX", "1.6")
        assert len(told["components"]) == len(PACKAGE.findall((copy / lock).read_text())) > 20


def test_audit_never_calls_packages_safe_that_it_could_not_ask_about(copy):
    done = make(copy, "audit")
    scanned = done.stderr.count("No known vulnerabilities found") == 2  # a line a lock
    assert (done.returncode == 0) == scanned
    assert scanned or re.search("could not be audited|vulnerabilit|Connection", done.stderr), done.stderr


def test_fuzz_keeps_what_is_new(copy):
    done = make(copy, "fuzz", "FUZZ_SECONDS=5")
    assert done.returncode == 0, done.stderr[-2000:]
    assert list((copy / ".cache/fuzz").iterdir())
