import os
import shutil
from pathlib import Path

import finished_project
import pytest
from finished_project import SPEC
from registered_members import TEMPERATURES, register, table, tiny_settings, write_member

from cnnClassifier.config.types import Settings
from cnnClassifier.decision import DecisionSpec, OutlierRule
from cnnClassifier.inference import Classifier
from cnnClassifier.tracking.connection import Connection, connect


@pytest.fixture
def settings() -> Settings:
    return tiny_settings()


@pytest.fixture(scope="session")
def home(tmp_path_factory, empty_database) -> Path:
    """One registry for all these tests, which give their ensembles names of their own."""
    folder = tmp_path_factory.mktemp("ensembles")
    shutil.copyfile(empty_database, folder / "mlflow.db")
    return folder


@pytest.fixture(scope="session")
def members(home) -> list[Classifier]:
    """Two versions of one model, registered with their evidence; the first refuses pictures of other kinds."""
    made, local, settings = [], Connection(f"sqlite:///{home}/mlflow.db", home / "mlruns"), tiny_settings()
    paths = finished_project.project_paths(home / "project")
    for number in (1, 2):
        decision = DecisionSpec(
            temperature=TEMPERATURES[number - 1], outliers=OutlierRule(threshold=0.5) if number == 1 else None
        )
        spec = SPEC.model_copy(update={"decision": decision})
        package = write_member(home / f"package{number}", number, spec)
        register(local, settings, paths, package, spec, table(number), home / f"pyfunc{number}")
        made.append(Classifier.load(package, settings.registration.name, str(number)))
    return made


@pytest.fixture
def local(home, members, tracking) -> Connection:
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{home}/mlflow.db"
    return connect(tracking)
