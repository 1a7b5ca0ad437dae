"""Puts what lies beside src/ in the project, and the installed package needs, into the wheel as cnnClassifier/_shipped.

All else is in pyproject.toml, which cannot say that a folder of the wheel comes from elsewhere.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = ("app.py", "templates", "static", "config/config.yaml", "models")


class BuildWithShipped(build_py):
    """Copies SHIPPED after the modules; an editable install uses the project itself."""

    def run(self) -> None:
        """Build, then copy."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / "cnnClassifier" / "_shipped"
        shutil.rmtree(target, ignore_errors=True)
        for name in SHIPPED:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if Path(name).is_dir() else shutil.copyfile
            copy(name, target / name)


setup(cmdclass={"build_py": BuildWithShipped})
