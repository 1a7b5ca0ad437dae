"""The app, put together from what it is given: a source of the model and the serving settings."""

from pathlib import Path

from flask import Flask, Response

from cnnClassifier.config.types import Paths, ServingConfig
from cnnClassifier.fetching import Fetcher
from cnnClassifier.web.admission import Admission
from cnnClassifier.web.api import make_api, make_openapi
from cnnClassifier.web.batcher import Batcher
from cnnClassifier.web.journal import Journal
from cnnClassifier.web.limits import Guard
from cnnClassifier.web.log_figures import LogFigures
from cnnClassifier.web.metrics import Metrics
from cnnClassifier.web.models import Models
from cnnClassifier.web.observer import Observer
from cnnClassifier.web.problems import register_problems
from cnnClassifier.web.reloading import Adjustable
from cnnClassifier.web.routes import Routes
from cnnClassifier.web.samples import Samples
from cnnClassifier.web.service import IMAGES_AT_ONCE, Service
from cnnClassifier.web.uploads import InMemoryRequest, Reader

SECURITY_HEADERS = {
    # No inline script or style, nothing from elsewhere; blob: is the preview of the chosen file.
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

SPARE_PARTS = 1000  # of a form, so that it is `max_files` that says when there are too many files

# What anybody may ask, also where there is an API key or a rate limit: none of it shows or says anything of an image,
# or makes the server load a model.
OPEN_ROUTES = frozenset({"index", "models", "static", "health", "ready", "model_card", "api.document", "api.docs"})


def create_app(
    models: Models, config: ServingConfig, root: Path, guard: Guard | None = None, paths: Paths | None = None
) -> Flask:
    """Make the app; `root` holds templates/ and static/. Starting the models is the caller's business.

    `paths` is where samples of the served model's own data are looked for.
    `app.extensions["batcher"]` and `["journal"]` may be closed when no more requests come: what they accepted is done.
    `["adjustable"]` is what may change meanwhile; `["guard"]` and `["observer"]` are for what is
    refused before the app sees it.
    """
    app = make_openapi("cnnClassifier.web", template_folder=root / "templates", static_folder=root / "static")
    app.request_class = InMemoryRequest
    app.config["MAX_CONTENT_LENGTH"] = config.max_upload_mb * 2**20
    # Else 500 kB: who sends an image as text is told what to send, and not that a small request is a large one.
    app.config["MAX_FORM_MEMORY_SIZE"] = app.config["MAX_CONTENT_LENGTH"]
    app.config["MAX_FORM_PARTS"] = config.max_files + SPARE_PARTS
    observer, admission = Observer(Metrics()), Admission(config.queue)
    batcher = Batcher(config.batch, IMAGES_AT_ONCE * config.queue, config.deadline_seconds, observer.metrics)
    observer.metrics.gauge("queue_images", "Images that wait for the network.", lambda: len(batcher))
    observer.metrics.gauge("requests_in_work", "Requests let in and not answered yet.", lambda: admission.inside)
    observer.register(app)
    guard = guard or Guard()
    guard.register(app, OPEN_ROUTES)
    journal = Journal(config)
    observer.metrics.registry.register(LogFigures(journal, models.loaded))
    service = Service(models, observer, admission, batcher, config, journal)
    reader, samples = Reader(observer, admission, _fetcher(config)), Samples(models, paths)
    Routes(service, reader, observer, config, guard).register(app)
    app.register_api(make_api(service, reader, samples, observer))
    register_problems(app)
    adjustable = Adjustable(config, admission, batcher, guard, IMAGES_AT_ONCE)
    app.extensions |= {"batcher": batcher, "journal": journal, "adjustable": adjustable}
    app.extensions |= {"guard": guard, "observer": observer}
    app.after_request(_add_security_headers)
    return app


def _fetcher(config: ServingConfig) -> Fetcher | None:
    if not config.url_hosts:
        return None
    return Fetcher(config.url_hosts, config.max_upload_mb * 2**20, config.url_seconds)


def _add_security_headers(response: Response) -> Response:
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)  # static files bring their own Cache-Control
    return response
