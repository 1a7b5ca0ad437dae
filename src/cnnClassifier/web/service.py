"""From an upload's bytes to an answer: read it, ask the model, say what was seen. No HTTP here, and no model code."""

import base64
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime

from cnnClassifier import heatmap
from cnnClassifier.archives import ArchiveLimits, Member, is_archive, read_archive
from cnnClassifier.config.types import ServingConfig
from cnnClassifier.dicom import is_dicom
from cnnClassifier.errors import ArchiveError, ImageError
from cnnClassifier.inference import Classifier, Explanation, Prediction
from cnnClassifier.preprocessing import Pixels
from cnnClassifier.series import order_slices
from cnnClassifier.web.admission import Admission
from cnnClassifier.web.answers import (
    AgreementAnswer,
    Answer,
    AskQuery,
    BatchAnswer,
    BatchItem,
    ExplainAnswer,
    MapAnswer,
    ModelAnswer,
    PictureAnswer,
    Problem,
)
from cnnClassifier.web.batcher import Batcher
from cnnClassifier.web.feedback import FeedbackAnswer, FeedbackRequest
from cnnClassifier.web.journal import Journal, Seen
from cnnClassifier.web.models import Models
from cnnClassifier.web.observer import Observer
from cnnClassifier.web.pictures import as_png, read_picture
from cnnClassifier.web.problems import unreadable
from cnnClassifier.web.uploads import Upload

IMAGES_AT_ONCE = 2  # of one request: the next is decoded while one is in the network


@dataclass(frozen=True)
class Found:
    """What the model says of a file, the picture in it, and what the journal keeps of it."""

    prediction: Prediction
    picture: PictureAnswer
    seen: Seen | None


@dataclass(frozen=True)
class Service:
    """Answers questions about the files of requests that were let in (`uploads.Reader`)."""

    models: Models
    observer: Observer
    admission: Admission
    batcher: Batcher
    config: ServingConfig
    journal: Journal

    def answer(self, data: bytes, ask: AskQuery, request_id: str) -> Answer:
        """The answer for one file; ImageError if it cannot be read, OverloadedError if too many images wait."""
        classifier = self.models.get(ask.model)
        return self._note(self._find(data, ask, classifier), classifier, request_id)

    def explain(self, data: bytes, ask: AskQuery, request_id: str) -> ExplainAnswer:
        """The answer, and where in the picture each class shows; NoMapsError for a model that cannot tell."""
        classifier = self.models.get(ask.model)
        picture, pixels, _ = self._prepare(data, ask, classifier, look=False)
        explained: Explanation = self.batcher.run(classifier.explain_batch, pixels)
        # Not in the journal: whoever wants maps, as the page does, has asked for the answer, too.
        answer = self._tell(explained.prediction, picture, classifier, request_id)
        maps = zip(classifier.spec.classes, explained.maps, strict=True)
        return ExplainAnswer(answer=answer, maps={label: _map_answer(values, picture) for label, values in maps})

    def picture(self, data: bytes, ask: AskQuery) -> bytes:
        """A file as a PNG that any browser shows."""
        with self.admission.decoding():
            return as_png(read_picture(data, ask, self._most_pixels).pixels)

    def batch(self, uploads: Sequence[Upload], ask: AskQuery, request_id: str) -> BatchAnswer:
        """An answer or a problem for each file and each file in a zip; slices of a DICOM series in their order."""
        classifier = self.models.get(ask.model)
        with self._members(uploads) as members, ThreadPoolExecutor(IMAGES_AT_ONCE) as pool:
            series = len(members) > 1 and all(member.data is not None and is_dicom(member.data) for member in members)
            ordered = list(enumerate(order_slices(members) if series else members))
            found = pool.map(lambda item: self._try(item[1], ask, classifier), ordered)
            results = [
                self._item(index, member, outcome, classifier, request_id)
                for (index, member), outcome in zip(ordered, found, strict=True)
            ]
        failed = sum(item.problem is not None for item in results)
        return BatchAnswer(
            results=results,
            answered=len(results) - failed,
            failed=failed,
            series=series,
            model=classifier.name,
            version=classifier.version,
            request_id=request_id,
        )

    def describe(self, name: str) -> ModelAnswer:
        """One model with its versions and, where readers are asked, how often they agree with the one that answers."""
        answer = self.models.answer(name)
        found = self.journal.agreement(name, answer.served) if answer.served else None
        return answer.model_copy(update={"agreement": AgreementAnswer(**vars(found)) if found else None})

    def correct(self, said: FeedbackRequest) -> FeedbackAnswer:
        """Keep a reader's label; errors of `Journal.correct`."""
        kept = self.journal.correct(said.request_id, said.item, said.label)
        return FeedbackAnswer(
            request_id=kept.request_id,
            item=kept.item,
            label=kept.label,
            answered=kept.answered,
            agrees=kept.agrees,
            model=kept.model,
            version=kept.version,
        )

    @property
    def _most_pixels(self) -> int:
        return self.config.max_megapixels * 1_000_000

    def _try(self, member: Member, ask: AskQuery, classifier: Classifier) -> Found | Problem:
        """What the model makes of one file of several, which may be unreadable without harm to the others."""
        try:
            return self._find(_data_of(member), ask, classifier)
        except ImageError as error:
            return unreadable(error)

    def _find(self, data: bytes, ask: AskQuery, classifier: Classifier) -> Found:
        picture, pixels, seen = self._prepare(data, ask, classifier)
        return Found(self.batcher.predict(classifier, pixels), picture, seen)

    def _prepare(
        self, data: bytes, ask: AskQuery, classifier: Classifier, look: bool = True
    ) -> tuple[PictureAnswer, Pixels, Seen | None]:
        """What is told of a picture, the network's input, and what the journal keeps.

        Few at a time, and the picture itself is let go: decoded, it may be large.
        """
        with self.admission.decoding(), self.observer.step("decode"):
            picture = read_picture(data, ask, self._most_pixels)
            return *picture.shown_to(classifier), self.journal.look(picture.pixels, data) if look else None

    def _note(self, found: Found, classifier: Classifier, request_id: str, item: int = 0) -> Answer:
        self.journal.note(found.prediction, found.seen, classifier.digest, request_id, item)
        return self._tell(found.prediction, found.picture, classifier, request_id)

    def _tell(self, prediction: Prediction, picture: PictureAnswer, classifier: Classifier, request_id: str) -> Answer:
        self.observer.predicted(prediction)
        return Answer(
            **vars(prediction),
            synthetic=classifier.spec.synthetic,
            picture=picture,
            request_id=request_id,
            answered_at=datetime.now(UTC),
        )

    @contextmanager
    def _members(self, uploads: Sequence[Upload]) -> Iterator[list[Member]]:
        """All files, those of archives among them; a request that brings any waits its turn to hold what is in them."""
        archives = any(is_archive(upload.data) for upload in uploads)
        with self.admission.unpacking() if archives else nullcontext():
            members: list[Member] = []
            for upload in uploads:
                members += self._files_of(upload, members)
            if len(members) > self.config.max_files:
                raise ArchiveError(f"{len(members)} files are more than the {self.config.max_files} taken at a time")
            yield members

    def _files_of(self, upload: Upload, before: Sequence[Member]) -> list[Member]:
        if is_archive(upload.data):
            return read_archive(upload.data, ArchiveLimits(files=self.config.max_files), before)
        return [Member(upload.name, upload.data)]

    def _item(
        self, index: int, member: Member, outcome: Found | Problem, classifier: Classifier, request_id: str
    ) -> BatchItem:
        if isinstance(outcome, Problem):
            return BatchItem(index=index, name=member.name, problem=outcome)
        return BatchItem(index=index, name=member.name, answer=self._note(outcome, classifier, request_id, index))


def _data_of(member: Member) -> bytes:
    if member.data is None:
        raise ImageError(member.error or "this file cannot be read")
    return member.data


def _map_answer(values: Pixels, picture: PictureAnswer) -> MapAnswer:
    relevance = heatmap.relevance(values)
    overlay = heatmap.as_png(relevance, picture.seen, (picture.height, picture.width))
    encoded = base64.b64encode(overlay).decode()
    return MapAnswer(overlay=f"data:image/png;base64,{encoded}", peak=heatmap.peak(relevance, picture.seen))
