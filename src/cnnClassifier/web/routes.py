"""The pages, the operator's routes and the family's `POST /predict`; the API itself is `api.py`."""

from dataclasses import dataclass

from flask import Flask, Response, render_template, request
from werkzeug.exceptions import NotFound

from cnnClassifier import DISCLAIMER
from cnnClassifier.config.types import ServingConfig
from cnnClassifier.web.answers import AskQuery, HealthAnswer, PredictAnswer, ReadyAnswer
from cnnClassifier.web.api import as_json
from cnnClassifier.web.limits import Guard
from cnnClassifier.web.metrics import CONTENT_TYPE
from cnnClassifier.web.model_holder import UNVERIFIED
from cnnClassifier.web.observer import Observer
from cnnClassifier.web.problems import ASK_WITH_KEY
from cnnClassifier.web.service import Service
from cnnClassifier.web.uploads import Reader

# The card is one file that brings its style with it and loads nothing, not even from here. Our own page may frame it.
CARD_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)


@dataclass(frozen=True)
class Routes:
    """All routes beside the API, with what they need."""

    service: Service
    reader: Reader
    observer: Observer
    config: ServingConfig
    guard: Guard

    def register(self, app: Flask) -> None:
        """Put every route on its address."""
        app.add_url_rule("/", view_func=self.index)
        app.add_url_rule("/models", view_func=self.models)
        app.add_url_rule("/model-card", view_func=self.model_card)
        app.add_url_rule("/predict", view_func=self.predict, methods=["POST"])
        app.add_url_rule("/health", view_func=self.health)
        app.add_url_rule("/ready", view_func=self.ready)
        app.add_url_rule("/metrics", view_func=self.metrics)

    def index(self) -> str:
        """The page."""
        return render_template(
            "index.html",
            disclaimer=DISCLAIMER,
            max_upload_mb=self.config.max_upload_mb,
            feedback=self.config.feedback,
            logged=self.config.prediction_log is not None,
        )

    def models(self) -> str:
        """The page about the models."""
        return render_template("models.html", disclaimer=DISCLAIMER)

    def model_card(self) -> Response:
        """A loaded model's card; 404 if its package is from before there were cards.

        Anybody may ask, so nothing is loaded for it, nor the registry asked.
        """
        classifier = self.service.models.at_hand(request.args.get("model"))
        try:
            page = classifier.card.read_bytes()
        except FileNotFoundError:
            raise NotFound(f"model {classifier.name} version {classifier.version} has no model card") from None
        headers = {"Content-Security-Policy": CARD_POLICY, "X-Frame-Options": "SAMEORIGIN"}
        return Response(page, mimetype="text/html", headers=headers)

    def predict(self) -> Response:
        """Classify one image: as the family's clients ask, and with no more in the answer than they know."""
        with self.reader.one(request) as data:
            answer = self.service.answer(data, AskQuery(), self.observer.request_id)
        return as_json(PredictAnswer.model_validate(answer.model_dump()))

    def health(self) -> Response:
        """Whether the process lives."""
        return as_json(HealthAnswer())

    def ready(self) -> Response:
        """Whether it can predict, and with which model."""
        holder = self.service.models.default
        return as_json(ReadyAnswer.of(holder.get(), self._told(holder.notice)))

    def metrics(self) -> Response:
        """Figures for Prometheus."""
        return Response(self.observer.metrics.text(self.service.models.loaded()), content_type=CONTENT_TYPE)

    def _told(self, notice: str | None) -> str | None:
        """A notice, for who has no key without the registry's address and reasons in it."""
        if notice in (None, UNVERIFIED) or self.guard.knows_sender():
            return notice
        return f"this may not be the model that the registry now names; {ASK_WITH_KEY}"
