"""The app, put together from what it is given: a source of the model and the serving settings."""

from pathlib import Path

from flask import Flask, Response

from cnnClassifier.config.types import ServingConfig
from cnnClassifier.web.model_holder import ModelHolder
from cnnClassifier.web.problems import register_problems
from cnnClassifier.web.routes import Routes
from cnnClassifier.web.uploads import InMemoryRequest

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


def create_app(models: ModelHolder, config: ServingConfig, root: Path) -> Flask:
    """Make the app; `root` holds templates/ and static/. Starting `models` is the caller's business."""
    app = Flask("cnnClassifier.web", template_folder=root / "templates", static_folder=root / "static")
    app.request_class = InMemoryRequest
    app.config["MAX_CONTENT_LENGTH"] = config.max_upload_mb * 2**20
    Routes(models, config).register(app)
    register_problems(app)
    app.after_request(_add_security_headers)
    return app


def _add_security_headers(response: Response) -> Response:
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)  # static files bring their own Cache-Control
    return response
