"""Commands of a project on a Ray cluster: where they are typed, and how they are begun so that they can be killed."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cnnClassifier.components.data_audit import DataAudit
from cnnClassifier.components.data_ingestion import DataIngestion
from cnnClassifier.config.loading import load_project, load_settings
from project import Project, copy_project, make_tiny


@contextmanager
def audited_project(root: Path, environment: dict[str, str], **changes: object) -> Iterator[Project]:
    """A tiny project on SmallCNN whose images are there, audited. It is the working directory until the block ends."""
    project = copy_project(root, environment)
    make_tiny(project)
    project.set_params(prepare_base_model__backbone="SmallCNN", prepare_base_model__weights="none", **changes)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.root)
        settings, paths = load_settings(), load_project().paths
        DataIngestion(settings.data_ingestion, paths).run()
        DataAudit(settings.data_audit, paths).run()
        yield project


def begin(project: Project, environment: dict[str, str], *arguments: str) -> "subprocess.Popen[str]":
    """Begins python main.py ..., with more in its environment than the project's commands have; keeps what it says."""
    command = [sys.executable, "main.py", *arguments]
    said = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=project.root, env=project.environment | environment, **said)
