"""Every error becomes a problem document (RFC 9457), or for who looks for a page, a page; never a stack trace."""

from http import HTTPStatus

from flask import Flask, Response, current_app, render_template, request
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from cnnClassifier.errors import ArchiveError, ImageError, NoMapsError, NoSuchModelError, TrackingError
from cnnClassifier.fetching import FetchError
from cnnClassifier.monitoring.feedback import UnknownAnswerError, UnknownLabelError
from cnnClassifier.web.admission import OverloadedError
from cnnClassifier.web.answers import Problem
from cnnClassifier.web.batcher import TooLateError
from cnnClassifier.web.journal import JournalError
from cnnClassifier.web.model_holder import ModelLoadingError, NoModelError
from cnnClassifier.web.samples import NoSuchSampleError
from cnnClassifier.web.uploads import faults_of

PROBLEM_JSON = "application/problem+json"
PAGES = (None, "index", "models", "model_card")  # what people open in a browser; None: an address of nothing
TYPES = "urn:cnnclassifier:problem:"

ASK_WITH_KEY = "who sends the API key is told why; the server's log says it too"
TRAIN_FIRST = "Train and register a model with `make run`; this server then picks it up by itself."


def register_problems(app: Flask) -> None:
    """Make the app answer errors with problem documents."""
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(ImageError, _unreadable_image)
    app.register_error_handler(ArchiveError, _unreadable_archive)
    app.register_error_handler(FetchError, _not_fetched)
    app.register_error_handler(NoMapsError, _no_maps)
    app.register_error_handler(NoSuchModelError, _no_such_model)
    app.register_error_handler(NoSuchSampleError, _no_such_sample)
    app.register_error_handler(UnknownAnswerError, _unknown_answer)
    app.register_error_handler(UnknownLabelError, _unknown_label)
    app.register_error_handler(JournalError, _no_journal)
    app.register_error_handler(ModelLoadingError, _model_loading)
    app.register_error_handler(NoModelError, _no_model)
    app.register_error_handler(TrackingError, _registry_lost)
    app.register_error_handler(OverloadedError, _overloaded)
    app.register_error_handler(TooLateError, _too_late)


def _http_error(error: HTTPException) -> Response:
    status = HTTPStatus(error.code or 500)
    response = Response(headers=error.get_headers())  # keeps Allow of a 405
    return _fill(response, Problem(title=status.phrase, status=status, detail=_detail(error)))


def unreadable(error: ImageError) -> Problem:
    """The problem with a file that is no picture."""
    return Problem(type=TYPES + "unreadable-image", title="This image cannot be read", status=422, detail=str(error))


def invalid_query(error: ValidationError) -> Response:
    """The problem with values in an address."""
    title = "This address is not understood"
    problem = Problem(type=TYPES + "invalid-query", title=title, status=422, detail=faults_of(error))
    return _fill(Response(), problem)


def too_often(rate: str, seconds: int) -> Response:
    """The problem with a client that asks more often than `rate`, and may again in so many seconds."""
    detail = f"{rate} is as often as one address may ask this server"
    problem = Problem(type=TYPES + "too-often", title="Asked too often", status=429, detail=detail)
    return _fill(Response(headers={"Retry-After": str(seconds)}), problem)


def _unreadable_image(error: ImageError) -> Response:
    return _fill(Response(), unreadable(error))


def _unreadable_archive(error: ArchiveError) -> Response:
    title = "This archive cannot be read"
    return _fill(Response(), Problem(type=TYPES + "unreadable-archive", title=title, status=422, detail=str(error)))


def _not_fetched(error: FetchError) -> Response:
    title = "This address was not fetched"
    return _fill(Response(), Problem(type=TYPES + "not-fetched", title=title, status=422, detail=str(error)))


def _no_maps(error: NoMapsError) -> Response:
    title = "This model cannot say why"
    return _fill(Response(), Problem(type=TYPES + "no-explanation", title=title, status=404, detail=str(error)))


def _no_such_model(error: NoSuchModelError) -> Response:
    title = "There is no such model"
    return _fill(Response(), Problem(type=TYPES + "unknown-model", title=title, status=404, detail=str(error)))


def _no_such_sample(error: NoSuchSampleError) -> Response:
    title = "There is no such sample"
    return _fill(Response(), Problem(type=TYPES + "unknown-sample", title=title, status=404, detail=str(error)))


def _unknown_answer(error: UnknownAnswerError) -> Response:
    title = "There is no such answer"
    return _fill(Response(), Problem(type=TYPES + "unknown-answer", title=title, status=404, detail=str(error)))


def _unknown_label(error: UnknownLabelError) -> Response:
    title = "There is no such class"
    return _fill(Response(), Problem(type=TYPES + "unknown-label", title=title, status=422, detail=str(error)))


def _no_journal(error: JournalError) -> Response:
    problem = Problem(
        type=TYPES + "not-kept", title="The label cannot be kept now", status=503, detail=str(error)
    )  # fmt: skip
    return _fill(Response(headers={"Retry-After": "10"}), problem)


def _model_loading(error: ModelLoadingError) -> Response:
    problem = Problem(type=TYPES + "model-loading", title="The model is loading", status=503, detail=str(error))
    return _fill(Response(headers={"Retry-After": "2"}), problem)


def _no_model(error: NoModelError) -> Response:
    # Anybody may ask whether there is one; where it was looked for, an address or a folder, is nothing for strangers.
    told = current_app.extensions["guard"].knows_sender()
    problem = Problem(
        type=TYPES + "no-model",
        title="No model is being served",
        status=503,
        detail=str(error) if told else ASK_WITH_KEY,
        advice=TRAIN_FIRST if error.trainable else None,
    )
    return _fill(Response(headers={"Retry-After": "10"}), problem)


def _registry_lost(error: TrackingError) -> Response:
    title = "The registry cannot be asked"
    problem = Problem(type=TYPES + "registry-lost", title=title, status=503, detail=str(error))
    return _fill(Response(headers={"Retry-After": "10"}), problem)


def _overloaded(error: OverloadedError) -> Response:
    problem = Problem(type=TYPES + "overloaded", title="Too much at once", status=429, detail=str(error))
    return _fill(Response(headers={"Retry-After": str(error.retry_after)}), problem)


def _too_late(error: TooLateError) -> Response:
    problem = Problem(type=TYPES + "too-late", title="This took too long", status=503, detail=str(error))
    return _fill(Response(headers={"Retry-After": "10"}), problem)


def _detail(error: HTTPException) -> str:
    if error.code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return _too_much(request.content_length)
    if isinstance(error, MethodNotAllowed):
        return f"{request.method} is not for this address; it takes {', '.join(sorted(error.valid_methods or ()))}"
    if isinstance(error, NotFound) and error.description == NotFound.description:  # nobody said what is missing
        return "there is nothing at this address; /api/v1/docs lists what may be asked"
    return error.description or ""


def _too_much(length: int | None) -> str:
    """Werkzeug refuses a form of too many parts as it does too large a body."""
    if length is None or length > current_app.config["MAX_CONTENT_LENGTH"]:
        return too_large(current_app.config["MAX_CONTENT_LENGTH"])
    return f"the form has more than the {current_app.config['MAX_FORM_PARTS']} parts this server accepts"


def too_large(limit: int) -> str:
    """What is wrong with a body above the limit, which is in bytes."""
    return f"the request is larger than the {limit // 2**20} MB this server accepts"


def _fill(response: Response, problem: Problem) -> Response:
    response.status_code = problem.status
    response.vary.add("Accept")
    if _is_for_a_reader():
        response.content_type = "text/html; charset=utf-8"
        response.set_data(render_template("problem.html", problem=problem))
    else:
        response.content_type = PROBLEM_JSON
        response.set_data(problem.model_dump_json(exclude_none=True))
    return response


def _is_for_a_reader() -> bool:
    """Whether a browser opens this as a page: programs ask for anything, or for JSON, and the API has no pages."""
    is_page = request.endpoint in PAGES and not request.path.startswith("/api/")
    kinds = request.accept_mimetypes
    return bool(is_page and kinds["text/html"] > kinds["application/json"])
