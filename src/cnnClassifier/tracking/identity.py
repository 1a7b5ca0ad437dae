"""What a run says of where it comes from: code, machine, versions."""

import getpass
import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "cnnClassifier", "dvc", "keras", "mlflow", "numpy", "onnxruntime", "scikit-learn", "tensorflow",
)  # fmt: skip
DVC_EXPERIMENT = "DVC_EXP_NAME"  # set by `dvc exp run`
GIT_SECONDS = 10


def run_tags() -> dict[str, str]:
    """The tags of a new run; what is unknown (no git, package not installed) is left out."""
    tags = {
        "mlflow.source.name": "main.py",
        "mlflow.source.type": "LOCAL",
        "mlflow.user": _user(),
        "dvc.experiment": os.environ.get(DVC_EXPERIMENT),
    }
    return _known(tags | _git_tags() | _version_tags())


def run_name(backbone: str, params_digest: str) -> str:
    """The DVC experiment's name, else backbone and settings: equal settings, equal name."""
    return os.environ.get(DVC_EXPERIMENT) or f"{backbone}-{params_digest[:8]}"


def _git_tags() -> dict[str, str | None]:
    commit = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--untracked-files=no")
    dirty = None if commit is None or changes is None else str(bool(changes)).lower()
    return {"mlflow.source.git.commit": commit, "git.dirty": dirty}


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True, timeout=GIT_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _version_tags() -> dict[str, str | None]:
    versions = {f"version.{name}": _version(name) for name in PACKAGES}
    return {"version.python": platform.python_version(), **versions}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return None


def _known(tags: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in tags.items() if value is not None}
