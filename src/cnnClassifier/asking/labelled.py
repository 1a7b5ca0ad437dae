"""Images that lie in class folders: which class each is of, and which belong together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cnnClassifier.config.data import DataIngestionConfig
from cnnClassifier.config.loading import EXPERIMENTS, PARAMS_FILE, load_settings
from cnnClassifier.datasets.candidates import LEADS_OUT, class_folder, find_class, find_group
from cnnClassifier.datasets.folders import walk_files
from cnnClassifier.errors import DataError


@dataclass(frozen=True)
class Labelled:
    """A file, its path below the folder, its class and its group (the patient, where names tell; else itself).

    `fault` says why it is not to be read, if it is not.
    """

    file: Path
    path: str
    label: str
    group: str
    fault: str | None = None


def list_labelled(folder: Path, classes: Sequence[str], experiment: DataIngestionConfig | None) -> list[Labelled]:
    """The files of class folders in path order; folders are called as the classes are or as the experiment says.

    Raises DataError for a folder that is of no class or of several, and where there are no files.
    """
    if not folder.is_dir():
        raise DataError(f"--data {folder}: no such folder; give one with a folder for each class in it")
    exclude = experiment.exclude if experiment else ()
    links: list[str] = []
    paths = sorted([*walk_files(folder, exclude, links), *links])
    patterns = _patterns(classes, experiment)
    placed = [_place(folder, path, patterns, experiment) for path in paths if class_folder(path)]
    out = set(links)
    found = [replace(image, fault=LEADS_OUT) if image.path in out else image for image in placed]
    if not found:
        raise DataError(f"--data {folder}: no files in class folders; it needs folders such as {classes[0]!r}")
    return found


def experiment_of(model: str, classes: Sequence[str]) -> DataIngestionConfig | None:
    """How the experiment of a model's name, or else the active one, finds classes, if its classes are the model's."""
    for file in (EXPERIMENTS / f"{model}.yaml", PARAMS_FILE):
        if file.is_file():
            config = load_settings(file).data_ingestion
            if set(config.classes) == set(classes):
                return config
    return None


def _patterns(classes: Sequence[str], experiment: DataIngestionConfig | None) -> dict[str, list[str]]:
    said = experiment.classes if experiment else {}
    return {name: list(dict.fromkeys([*_spellings(name), *said.get(name, [])])) for name in classes}


def _spellings(name: str) -> list[str]:
    return [name, name.replace("_", " "), name.replace("_", "-"), name.replace("_", ".")]


def _place(folder: Path, path: str, patterns: dict[str, list[str]], experiment: DataIngestionConfig | None) -> Labelled:
    try:
        label = find_class(path, patterns, str(folder))
    except DataError:
        known = "; ".join(f"{name} ({', '.join(those)})" for name, those in patterns.items())
        raise DataError(
            f"--data {folder}: the folder {path.split('/', 1)[0]!r} is not of one class; expected folders of: {known}"
        ) from None
    group = find_group(path, experiment.group_pattern) if experiment else None
    return Labelled(folder / path, path, label, group or path)
