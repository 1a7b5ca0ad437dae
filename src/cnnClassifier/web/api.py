"""The API, version 1: each route translates a request into one call and its result into a typed answer.

flask-openapi3 makes the OpenAPI document from the routes' types.
"""

import json
from typing import Any

from flask import Response, current_app, render_template, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.openapi import OpenAPI

from cnnClassifier.archives import is_archive
from cnnClassifier.web.answers import (
    AskQuery,
    BatchAnswer,
    BatchQuery,
    ExplainAnswer,
    Message,
    ModelAnswer,
    ModelPath,
    ModelsAnswer,
    OneOrMany,
    Problem,
    SamplePath,
    SamplesAnswer,
)
from cnnClassifier.web.feedback import FeedbackAnswer, FeedbackRequest, read_feedback
from cnnClassifier.web.observer import Observer, QuietFlask
from cnnClassifier.web.openapi import (
    ASKING,
    INFO,
    MODELS,
    SECURITY,
    answer_or_table,
    content,
    json_body,
    many_files,
    one_file,
    problems,
)
from cnnClassifier.web.problems import invalid_query
from cnnClassifier.web.samples import Samples
from cnnClassifier.web.service import Service
from cnnClassifier.web.tables import as_csv
from cnnClassifier.web.uploads import Reader

PREFIX = "/api/v1"
PNG = "image/png"
FEEDBACK_REFUSALS = (400, 401, 403, 404, 413, 415, 422, 429, 503)


class App(QuietFlask, OpenAPI):
    """The Flask app, which collects what its OpenAPI document is made of."""


def make_openapi(name: str, **folders: Any) -> App:
    """An app without routes."""
    return App(
        name,
        info=INFO,
        doc_ui=False,
        security_schemes=SECURITY,
        validation_error_model=Problem,
        validation_error_callback=invalid_query,
        **folders,
    )


def make_api(service: Service, reader: Reader, samples: Samples, observer: Observer) -> APIBlueprint:
    """All routes below /api/v1."""
    api = APIBlueprint("api", __name__, url_prefix=PREFIX, abp_security=[{"key": []}, {}])
    _add_asking(api, service, reader, observer)
    _add_models(api, service, samples)
    if service.journal.feedback:
        _add_feedback(api, service)
    _add_document(api)
    return api


def as_json(answer: Message) -> Response:
    """A typed answer as a response."""
    return Response(answer.model_dump_json(), mimetype="application/json")


def _add_asking(api: APIBlueprint, service: Service, reader: Reader, observer: Observer) -> None:
    one: Any = {"tags": [ASKING], "openapi_extensions": one_file()}
    many: Any = {"tags": [ASKING], "openapi_extensions": many_files()}

    @api.post("/predict", responses={200: OneOrMany, **problems()}, **many)
    def predict(query: AskQuery) -> Response:
        """Classify one image; several, or a zip, as a batch does."""
        with reader.many(request) as uploads:
            if len(uploads) > 1 or is_archive(uploads[0].data):
                return as_json(service.batch(uploads, query, observer.request_id))
            return as_json(service.answer(uploads[0].data, query, observer.request_id))

    @api.post("/explain", responses={200: ExplainAnswer, **problems()}, **one)
    def explain(query: AskQuery) -> Response:
        """Classify one image and show where each class shows in it."""
        with reader.one(request) as data:
            return as_json(service.explain(data, query, observer.request_id))

    @api.post("/picture", responses={200: content("The picture", PNG), **problems()}, **one)
    def picture(query: AskQuery) -> Response:
        """Give an image as a PNG that browsers show: a DICOM file through its window."""
        with reader.one(request) as data:
            return Response(service.picture(data, query), mimetype=PNG)

    @api.post("/batch", responses={200: answer_or_table(BatchAnswer), **problems()}, **many)
    def batch(query: BatchQuery) -> Response:
        """Classify several images, or a zip of them; a bad file does not stop the others."""
        with reader.many(request) as uploads:
            answer = service.batch(uploads, query, observer.request_id)
        return as_json(answer) if query.format == "json" else Response(as_csv(answer), mimetype="text/csv")


def _add_models(api: APIBlueprint, service: Service, samples: Samples) -> None:
    @api.get("/models", tags=[MODELS], responses={200: ModelsAnswer, **problems(401, 429, 503)})
    def models() -> Response:
        """List the models that may be asked."""
        return as_json(ModelsAnswer(models=service.models.answers()))

    @api.get("/models/<name>", tags=[MODELS], responses={200: ModelAnswer, **problems(401, 404, 422, 429, 503)})
    def model(path: ModelPath) -> Response:
        """Describe one model."""
        return as_json(service.describe(path.name))

    @api.get("/samples", tags=[MODELS], responses={200: SamplesAnswer, **problems(401, 429)})
    def list_samples() -> Response:
        """List pictures to try."""
        return as_json(samples.answer())

    @api.get(
        "/samples/<name>.png", tags=[MODELS], responses={200: content("The picture", PNG), **problems(401, 404, 429)}
    )
    def sample(path: SamplePath) -> Response:
        """Give a picture to try."""
        return Response(samples.png(path.name), mimetype=PNG)


def _add_feedback(api: APIBlueprint, service: Service) -> None:
    body: Any = {"openapi_extensions": json_body(FeedbackRequest)}

    @api.post("/feedback", tags=[ASKING], responses={200: FeedbackAnswer, **problems(*FEEDBACK_REFUSALS)}, **body)
    def feedback() -> Response:
        """Keep what a reader says an answered image is; a later label takes the place of an earlier one."""
        return as_json(service.correct(read_feedback(request)))


def _add_document(api: APIBlueprint) -> None:
    def read() -> dict[str, Any]:
        document: dict[str, Any] = current_app.api_doc  # type: ignore[attr-defined]
        return document

    @api.get("/openapi.json", doc_ui=False)
    def document() -> Response:
        return Response(json.dumps(read()), mimetype="application/json")

    @api.get("/docs", doc_ui=False)
    def docs() -> str:
        return render_template("api.html", document=read())
