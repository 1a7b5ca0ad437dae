"""The routes: each translates a request into one call and its result into an answer, nothing else."""

from dataclasses import dataclass

import numpy as np
from flask import Flask, Response, render_template, request
from numpy.typing import NDArray
from werkzeug.exceptions import NotFound

from cnnClassifier import DISCLAIMER
from cnnClassifier.config.types import ServingConfig
from cnnClassifier.inference import Classifier
from cnnClassifier.preprocessing import preprocess
from cnnClassifier.web.admission import Admission
from cnnClassifier.web.answers import HealthAnswer, Message, PredictAnswer, ReadyAnswer
from cnnClassifier.web.batcher import Batcher
from cnnClassifier.web.metrics import CONTENT_TYPE
from cnnClassifier.web.model_holder import ModelHolder, ModelLoadingError, NoModelError
from cnnClassifier.web.observer import Observer
from cnnClassifier.web.uploads import image_bytes

# The card is one file that brings its style with it and loads nothing, not even from here.
CARD_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True)
class Routes:
    """All routes, with what they need."""

    models: ModelHolder
    config: ServingConfig
    observer: Observer
    admission: Admission
    batcher: Batcher

    def register(self, app: Flask) -> None:
        """Put every route on its address."""
        app.get("/")(self.index)
        app.post("/predict")(self.predict)
        app.get("/health")(self.health)
        app.get("/ready")(self.ready)
        app.get("/metrics")(self.metrics)
        app.get("/model-card")(self.model_card)

    def index(self) -> str:
        """The page."""
        return render_template("index.html", disclaimer=DISCLAIMER, max_upload_mb=self.config.max_upload_mb)

    def predict(self) -> Response:
        """Classify one image."""
        classifier = self.models.get()
        with self.admission.admitted():
            prediction = self.batcher.predict(classifier, self._image(classifier))
        self.observer.predicted(prediction)
        return _json(PredictAnswer.of(prediction, classifier.spec.synthetic))

    def _image(self, classifier: Classifier) -> NDArray[np.float32]:
        # Both at a time for few requests only: a file is copied when it is read, and grows when it is decoded.
        with self.admission.decoding():
            with self.observer.step("read"):
                data = image_bytes(request)
            with self.observer.step("decode"):
                return preprocess(data, classifier.spec.preprocessing, self.config.max_megapixels * 1_000_000)

    def health(self) -> Response:
        """Whether the process lives."""
        return _json(HealthAnswer())

    def ready(self) -> Response:
        """Whether it can predict, and with which model."""
        return _json(ReadyAnswer.of(self.models.get(), self.models.notice))

    def metrics(self) -> Response:
        """Figures for Prometheus."""
        try:
            served = [self.models.get()]
        except (ModelLoadingError, NoModelError):
            served = []
        return Response(self.observer.metrics.text(served), content_type=CONTENT_TYPE)

    def model_card(self) -> Response:
        """The served model's card; 404 if its package is from before there were cards."""
        classifier = self.models.get()
        try:
            page = classifier.card.read_bytes()
        except FileNotFoundError:
            raise NotFound(f"model {classifier.name} version {classifier.version} has no model card") from None
        return Response(page, mimetype="text/html", headers={"Content-Security-Policy": CARD_POLICY})


def _json(answer: Message) -> Response:
    return Response(answer.model_dump_json(), mimetype="application/json")
