"""What all tests share: an environment without the developer's settings, and who runs with whom in one process."""

import gc
import os
import sys
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from environment import AMBIENT

# Each runs in one process, for what its files share takes long to make; longest first, and before all other files.
TOGETHER = ("web", "tracking", "components", "audit", "sweep", "selection")

SEARCH_PATH = pytest.StashKey[list[str]]()

# Before anything imports TensorFlow, as the command line does it.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


class ByFileOrFolder(LoadFileScheduling):
    """Gives each process whole files, or whole folders of TOGETHER.

    The mark `xdist_group` would say the same, but pytest 9.2 no longer listens (pytest-dev/pytest-xdist#1386).
    """

    def _split_scope(self, nodeid: str) -> str:
        folder = nodeid.split("/")[1]
        return folder if folder in TOGETHER else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFileOrFolder | None:
    return ByFileOrFolder(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest starts first: at the end no process waits for another."""
    order = {folder: number for number, folder in enumerate(TOGETHER)}
    items.sort(key=lambda item: order.get(item.nodeid.split("/")[1], len(order)))


def pytest_collection_finish(session: pytest.Session) -> None:
    session.config.stash[SEARCH_PATH] = list(sys.path)
    # What was imported stays. Looking through TensorFlow's million objects for garbage was a quarter of the time.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.fixture(autouse=True)
def clean_search_path(monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> None:
    """MLflow puts a loaded model's own copy of our code first, where processes started later would find it."""
    monkeypatch.setattr(sys, "path", list(pytestconfig.stash[SEARCH_PATH]))


@pytest.fixture(autouse=True)
def clean_environ(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in AMBIENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
