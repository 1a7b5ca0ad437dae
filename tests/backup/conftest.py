from pathlib import Path

import pytest
from registries import connection_in, store_in

from cnnClassifier.backup.command import backup
from registry_content import fill_with_two


@pytest.fixture(scope="session")
def laptop(tmp_path_factory) -> Path:
    """A project folder with two versions of a model, the first of them champion."""
    folder = tmp_path_factory.mktemp("laptop") / "with space #1"
    folder.mkdir()
    connection_in(folder).check()
    fill_with_two(connection_in(folder), folder)
    return folder


@pytest.fixture(scope="session")
def saved(laptop, tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("saved") / "registry.tar"
    said = backup(store_in(laptop), file)
    assert said.startswith(f"{file}: 3 runs, 1 registered models, 2 model versions of sqlite:///{laptop}")
    return file
