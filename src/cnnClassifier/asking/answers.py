"""What a model says of files, one answer or error each: one that cannot be read never stops the others."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cnnClassifier.archives import Member
from cnnClassifier.asking.files import read_members
from cnnClassifier.errors import ImageError
from cnnClassifier.inference import Classifier, Prediction


@dataclass(frozen=True)
class Answer:
    """A file's prediction, or why there is none; `sha256` of its bytes, None where they cannot be had."""

    file: str
    sha256: str | None = None
    prediction: Prediction | None = None
    error: str | None = None


def ask(classifier: Classifier, paths: Iterable[Path], most_pixels: int) -> Iterator[Answer]:
    """Answers in the order of the files; pictures of more than `most_pixels` are an error."""
    for path in paths:
        for member in read_members(path):
            yield _answer(classifier, member, most_pixels)


def _answer(classifier: Classifier, member: Member, most_pixels: int) -> Answer:
    if member.data is None:
        return Answer(member.name, error=member.error or "cannot be read")
    sha256 = hashlib.sha256(member.data).hexdigest()
    try:
        return Answer(member.name, sha256, classifier.classify(member.data, most_pixels))
    except ImageError as error:
        return Answer(member.name, sha256, error=str(error))
