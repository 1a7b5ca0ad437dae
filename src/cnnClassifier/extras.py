"""Which extra of the installed package brings a library that is not there."""

import re
from importlib.metadata import PackageNotFoundError, metadata

DISTRIBUTION = "cnnClassifier"

# Libraries whose name in Python is not their package's.
PACKAGES = {
    "cv2": "opencv-python-headless",
    "faiss": "faiss-cpu",
    "imblearn": "imbalanced-learn",
    "keras": "tensorflow",
    "ruamel": "ruamel.yaml",
    "sklearn": "scikit-learn",
    "werkzeug": "flask",
}
REQUIREMENT = re.compile(r"^(?P<package>[\w.-]+).*\bextra == ['\"](?P<extra>[\w-]+)['\"]")


def advice_for(library: str) -> str | None:
    """One line on how to install a library that is missing (`ruamel.yaml`: its first part counts); None for one that
    no extra brings, whose absence is a fault and no choice.
    """
    top = library.partition(".")[0]
    extra = _extras().get(_normal(PACKAGES.get(top, top)))
    if extra is None:
        return None
    return f"this command needs {top}, which is not installed: pip install '{DISTRIBUTION}[{extra}]'"


def _extras() -> dict[str, str]:
    """The first extra that brings each package, in the order of pyproject.toml."""
    try:
        requirements = metadata(DISTRIBUTION).get_all("Requires-Dist") or []
    except PackageNotFoundError:  # run from a folder of sources
        return {}
    extras: dict[str, str] = {}
    for found in filter(None, map(REQUIREMENT.match, requirements)):
        extras.setdefault(_normal(found["package"]), found["extra"])
    return extras


def _normal(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()
