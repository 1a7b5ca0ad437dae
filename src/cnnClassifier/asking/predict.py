"""`python main.py predict`: what a model makes of files, in the terminal or in a file."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from cnnClassifier import DISCLAIMER
from cnnClassifier.asking.answers import Answer, ask
from cnnClassifier.asking.files import list_files
from cnnClassifier.asking.formats import as_csv, as_json, as_table, table_text
from cnnClassifier.asking.models import choose_model
from cnnClassifier.batching import followed
from cnnClassifier.destinations import check_new_file
from cnnClassifier.files import write_text
from cnnClassifier.inference import Classifier
from cnnClassifier.shipped import load_project_anywhere
from cnnClassifier.terminal import console, escape_what_it_lacks

MILLION = 1_000_000

log = logging.getLogger(__name__)


def predict_files(named: Sequence[Path], model: str | None, package: Path | None, form: str, out: Path | None) -> int:
    """Answer for all files as a "table", "json" or "csv"; how many could not be answered for.

    ConfigError or OSError, before any is asked about, where `out` cannot be written.
    """
    project = load_project_anywhere()
    files = list_files(named)
    place = check_new_file(out, read=files) if out else None
    classifier = choose_model(project, model, package)
    asked = followed(files, "predict", unit="file") if len(files) > 1 else files
    answers = list(ask(classifier, asked, project.serving.max_megapixels * MILLION))
    _show(answers, classifier, form, place)
    if out:
        log.info("written to %s", out)
    failed = sum(answer.error is not None for answer in answers)
    log.info("%s version %s answered for %d files, %d failed", *_named(classifier), len(answers) - failed, failed)
    if classifier.spec.synthetic:
        log.warning("this model learned from drawn pictures: what it says of a real one means nothing")
    log.info(DISCLAIMER)
    return failed


def _show(answers: Sequence[Answer], classifier: Classifier, form: str, out: Path | None) -> None:
    escape_what_it_lacks()
    if form == "table" and out is None:
        console().print(as_table(answers, classifier))
        return
    text = {"table": table_text, "json": as_json, "csv": as_csv}[form](answers, classifier)
    if out is None:
        sys.stdout.write(text)
    else:
        write_text(text, out)


def _named(classifier: Classifier) -> tuple[str, str]:
    return classifier.name, classifier.version
