"""Images that are made once, and a picture to ask them about."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from images import Builder, Image

from cnnClassifier.config.data import PhantomSource
from cnnClassifier.datasets.phantom.dataset import write_phantom


@pytest.fixture(scope="session")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    builder = Builder(tmp_path_factory.mktemp("images"))
    builder.make_bases()
    yield builder
    builder.close()


@pytest.fixture(scope="session")
def serving(builder: Builder) -> Image:
    return builder.build("serving")


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantom") / "drawn"
    write_phantom(folder, PhantomSource(kind="phantom", seed=1, patients_per_class=3, slices_per_patient=1), workers=1)
    return next((folder / "images").rglob("*.png"))
