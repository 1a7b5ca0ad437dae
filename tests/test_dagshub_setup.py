"""`make dagshub` in a repository of its own; what it pushes and pulls is in tests/services/."""

import subprocess
from pathlib import Path

import pytest
from dvc.repo import Repo

from cnnClassifier.dagshub_setup import set_up
from cnnClassifier.errors import ConfigError

TOKEN = "0123456789abcdef-a-token"  # noqa: S105
WRITTEN = f"HOST=0.0.0.0\nMLFLOW_TRACKING_URI=https://dagshub.com/jane/chest-ct.mlflow\nDAGSHUB_TOKEN={TOKEN}\n"


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    root = tmp_path / "project"
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    Repo.init(str(root)).close()
    (root / ".gitignore").write_text(".env\n")
    monkeypatch.chdir(root)
    monkeypatch.setenv("DAGSHUB_TOKEN", TOKEN)
    return root


def test_an_env_file_that_is_a_link_stays_one(repository, tmp_path):
    """As of one file for several clones."""
    shared = tmp_path / "shared.env"
    shared.write_text("HOST=0.0.0.0\n")
    (repository / ".env").symlink_to(shared)
    set_up("jane", "chest-ct")
    assert (repository / ".env").readlink() == shared
    assert shared.read_text() == WRITTEN
    assert shared.stat().st_mode & 0o077 == 0


def test_no_token_goes_through_a_link_to_a_file_that_git_sees(repository):
    (repository / "shared.env").write_text("HOST=0.0.0.0\n")
    (repository / ".env").symlink_to("shared.env")
    with pytest.raises(ConfigError, match=r"shared\.env: git would see the token"):
        set_up("jane", "chest-ct")
    assert (repository / "shared.env").read_text() == "HOST=0.0.0.0\n"
    assert not (repository / ".dvc/config.local").exists()


def test_a_plain_env_file_is_checked_and_written_as_ever(repository):
    (repository / ".env").write_text("HOST=0.0.0.0\n")
    set_up("jane", "chest-ct")
    assert (repository / ".env").read_text() == WRITTEN
    (repository / ".gitignore").write_text("")
    with pytest.raises(ConfigError, match=r"\.env: git would see the token"):
        set_up("jane", "chest-ct")
