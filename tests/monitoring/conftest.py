from pathlib import Path

import pytest

from cnnClassifier.monitoring.reference import TrainingReference
from watched import TRAINED, reference_of


@pytest.fixture(scope="session")
def reference() -> TrainingReference:
    """A training reference of 60 patients with 1 to 9 images each, alike within a patient."""
    return reference_of(TRAINED)


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    return tmp_path / "log/predictions.db"
