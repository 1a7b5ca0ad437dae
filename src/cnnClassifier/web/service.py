"""From an upload's bytes to an answer: read it, ask the model, say what was seen. No HTTP here, and no model code."""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cnnClassifier import dicom, heatmap
from cnnClassifier.archives import ArchiveLimits, Member, is_archive, read_archive
from cnnClassifier.config.types import ServingConfig
from cnnClassifier.errors import DataError, ImageError
from cnnClassifier.inference import Classifier, Explanation, Prediction
from cnnClassifier.preprocessing import Pixels, prepare
from cnnClassifier.web.answers import Answer, AskQuery, BatchAnswer, BatchItem, ExplainAnswer, MapAnswer, PictureAnswer
from cnnClassifier.web.batcher import Batcher
from cnnClassifier.web.models import Models
from cnnClassifier.web.observer import Observer
from cnnClassifier.web.pictures import Picture, as_png, read_picture
from cnnClassifier.web.problems import unreadable
from cnnClassifier.web.uploads import Upload


@dataclass(frozen=True)
class Service:
    """Answers questions about uploaded files."""

    models: Models
    batcher: Batcher
    observer: Observer
    config: ServingConfig

    def answer(self, data: bytes, ask: AskQuery, request_id: str) -> Answer:
        """The answer for one file; ImageError if it cannot be read."""
        classifier = self.models.get(ask.model)
        picture, pixels = self._prepare(data, ask, classifier)
        prediction = self.batcher.predict(classifier, pixels)
        return self._tell(prediction, picture.answer(classifier), classifier, request_id)

    def explain(self, data: bytes, ask: AskQuery, request_id: str) -> ExplainAnswer:
        """The answer, and where in the picture each class shows; NoMapsError for a model that cannot tell."""
        classifier = self.models.get(ask.model)
        picture, pixels = self._prepare(data, ask, classifier)
        explained: Explanation = self.batcher.run(classifier.explain_batch, pixels)
        answer = self._tell(explained.prediction, picture.answer(classifier), classifier, request_id)
        shape = (answer.picture.height, answer.picture.width)
        by_class = zip(classifier.spec.classes, explained.maps, strict=True)
        maps = {label: _map_answer(values, answer.picture.seen, shape) for label, values in by_class}
        return ExplainAnswer(answer=answer, maps=maps)

    def picture(self, data: bytes, ask: AskQuery) -> bytes:
        """A file as a PNG that any browser shows."""
        return as_png(self._read(data, ask).pixels)

    def batch(self, uploads: Sequence[Upload], ask: AskQuery, request_id: str) -> BatchAnswer:
        """An answer or a problem for each file, and for each in a zip; the slices of one DICOM series in their order."""
        classifier = self.models.get(ask.model)
        members = self._members(uploads)
        series = dicom.order_slices(members)
        results = [self._item(*numbered, ask, request_id) for numbered in enumerate(series or members)]
        failed = sum(item.problem is not None for item in results)
        return BatchAnswer(
            results=results,
            answered=len(results) - failed,
            failed=failed,
            series=series is not None,
            model=classifier.name,
            version=classifier.version,
            request_id=request_id,
        )
