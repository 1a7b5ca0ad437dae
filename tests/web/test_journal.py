"""The prediction log behind the real app: what is noted, what is not, and that trouble with it never reaches a client."""

import os
import re
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
import requests
from tiny_app import CONFIG, app_serving, running
from tiny_model import CLASSES, GREY, REFERENCE, coloured, picture, write_deciding_package

from cnnClassifier.inference import Classifier
from cnnClassifier.monitoring.entries import Entry, read_log
from cnnClassifier.monitoring.properties import PROPERTIES
from cnnClassifier.monitoring.reference import (
    REFERENCE_FILE, TrainingReference, Axes, save_training_reference,
)  # fmt: skip
from cnnClassifier.monitoring.writer import LogWriter, Rotation
import numpy as np


def test_nothing_is_noted_unless_asked_for(client, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert ask(client).status_code == 200
    assert list(tmp_path.iterdir()) == []
    assert "cnnclassifier_log" not in client.get("/metrics").text


@pytest.fixture(scope="module")
def watched(tmp_path_factory) -> Classifier:
    """A model with every rule and a training reference of three red, green and blue images."""
    folder = write_deciding_package(tmp_path_factory.mktemp("models") / "watched")
    few = np.zeros(3, np.int32)
    save_training_reference(
        TrainingReference(
            groups=few,
            probabilities=np.full((3, len(CLASSES)), 1 / len(CLASSES), np.float32),
            distances=np.zeros(3, np.float32),
            components=np.zeros((3, 2), np.float32),
            properties=np.zeros((3, len(PROPERTIES)), np.float32),
            axes=Axes(np.zeros(3, np.float32), np.eye(2, 3, dtype=np.float32) / 250),
        ),
        folder / REFERENCE_FILE,
    )
    return Classifier.load(folder, "watched", "11", threads=1)
