"""A copy of this project in a folder of its own, where its commands are run as a user runs them."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

from imports import ROOT

COPIED = (
    "main.py",
    "app.py",
    "dvc.yaml",
    "params.yaml",
    "config",
    "models",
    "src",
    "templates",
    "static",
    ".dvcignore",
    ".gitignore",
)


@dataclass(frozen=True)
class Project:
    """A project folder under git and DVC, and the environment its commands get."""

    root: Path
    environment: dict[str, str]

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of the virtual environment in the project's folder."""
        done = subprocess.run(
            command, cwd=self.root, env=self.environment, capture_output=True, text=True, timeout=1700, check=False
        )
        assert done.returncode == 0 or not check, f"{command} failed:\n{done.stdout}\n{done.stderr}"
        return done

    def main(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """python main.py ..."""
        return self.run(sys.executable, "main.py", *arguments, check=check)

    def dvc(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """dvc ..."""
        return self.run(sys.executable, "-m", "dvc", *arguments, check=check)

    def commit(self, message: str) -> None:
        """Commit everything git sees."""
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--allow-empty", "--message", message)

    def set_params(self, **changes: object) -> None:
        """Change values of params.yaml, as section__key=value."""
        params = yaml.safe_load((self.root / "params.yaml").read_text())
        for dotted, value in changes.items():
            *sections, key = dotted.split("__")
            block = params
            for section in sections:
                block = block[section]
            block[key] = value
        (self.root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def copy_project(root: Path, environment: dict[str, str]) -> Project:
    """Copy the sources into a new git repository with DVC set up as here."""
    root.mkdir(parents=True)
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copyfile(source, root / name)
    (root / ".dvc").mkdir()
    for name in ("config", ".gitignore"):
        shutil.copyfile(ROOT / ".dvc" / name, root / ".dvc" / name)
    scripts = Path(sys.executable).parent
    project = Project(
        root,
        {
            **environment,
            "PYTHONPATH": str(root / "src"),
            "PATH": f"{scripts}{os.pathsep}{environment['PATH']}",
            "GIT_AUTHOR_NAME": "test", "GIT_AUTHOR_EMAIL": "test@example.invalid",
            "GIT_COMMITTER_NAME": "test", "GIT_COMMITTER_EMAIL": "test@example.invalid",
        },
    )  # fmt: skip
    project.run("git", "init", "--quiet", "--initial-branch", "main")
    return project


def make_tiny(project: Project) -> None:
    """Shrink the phantom default until a whole pipeline run takes no longer than its imports."""
    project.set_params(
        data_ingestion__source__patients_per_class=10,
        data_ingestion__source__slices_per_patient=2,
        data_ingestion__source__image_size=96,
        prepare_base_model__preprocessing__image_size=32,
        prepare_base_model__precision="float32",  # eight bits cost ten seconds for each network
        training__epochs=2,
        training__folds=2,
        training__augmentation__views=1,
        evaluation__resamples=100,
        registration__calibration_error=1.0,  # so little learns nothing: it shall become champion all the same
    )
