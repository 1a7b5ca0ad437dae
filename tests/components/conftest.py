"""One tiny pipeline run by the components themselves, shared by the tests of the stages that need TensorFlow."""

from pathlib import Path

import pytest

from cnnClassifier.config.types import Paths


@pytest.fixture(scope="session")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    """A project after data_ingestion and data_audit; do not write to it."""
    from tiny_pipeline import ingest_and_audit, write_data

    folder = tmp_path_factory.mktemp("tiny")
    return ingest_and_audit(folder / "project", write_data(folder / "data"))


@pytest.fixture
def project(audited: Paths, tmp_path: Path) -> Paths:
    """The same data, with everything from the base model on in a folder of the test's own."""
    own = {"base_model", "model", "history", "out_of_fold", "training_plots", "tensorboard", "cache", "work"}
    own |= {"predictions", "metrics", "evaluation_plots", "decision", "outliers", "package", "registration"}
    return audited.model_copy(update={name: tmp_path / "project" / name for name in own})


@pytest.fixture(scope="session")
def evaluated(audited: Paths) -> Paths:
    """A project after all stages up to evaluation; do not write to it."""
    from tiny_pipeline import evaluate, prepare, train

    prepare(audited, head={"dropout": 0.2})
    # A rate at which rounding, which each processor does its own way, is not made much of.
    train(audited, epochs=25, patience=25, learning_rate=0.003)
    evaluate(audited)
    return audited
