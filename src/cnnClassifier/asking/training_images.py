"""Which images a model learned from, where that is at hand: metrics on them say nothing about others."""

from cnnClassifier.config.types import ProjectConfig
from cnnClassifier.files import read_json
from cnnClassifier.finished_run import is_of
from cnnClassifier.inference import Classifier
from cnnClassifier.metrics.predictions import read_predictions
from cnnClassifier.release.folder import OUT_OF_FOLD


def training_images(classifier: Classifier, project: ProjectConfig) -> frozenset[str] | None:
    """SHA-256 of the files of train and valid; None where nothing says which they were."""
    beside = classifier.folder / OUT_OF_FOLD
    if beside.is_file():  # a released model
        return frozenset(read_predictions(beside).sha256)
    paths = project.paths
    if paths.registration.is_file() and paths.out_of_fold.is_file():
        last = read_json(paths.registration)
        same = (last["name"], str(last["version"])) == (classifier.name, classifier.version)
        if same and is_of(last, paths, "out_of_fold"):
            return frozenset(read_predictions(paths.out_of_fold).sha256)
    return None
