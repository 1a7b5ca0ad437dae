"""One request, one answer, without a server: AWS Lambda behind API Gateway, on ONNX Runtime.

Takes the events of an HTTP API (payload format 2.0) and of a REST API: `{"url": ...}`, `{"image": "<base64>"}`, or the
picture itself as the body. Errors are problem documents (RFC 9457), as those of the web app.
"""

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from cnnClassifier.api_key import API_KEY, HEADER, check_key
from cnnClassifier.base64_files import from_base64
from cnnClassifier.config.types import ServingConfig
from cnnClassifier.errors import ConfigError, DataError, ImageError
from cnnClassifier.fetching import Fetcher, FetchError
from cnnClassifier.inference import Classifier
from cnnClassifier.web.answers import PredictAnswer

MODEL_DIR, URL_HOSTS = "CNNCLASSIFIER_MODEL_DIR", "CNNCLASSIFIER_URL_HOSTS"
TYPES = "urn:cnnclassifier:problem:"
MIB, MEGAPIXEL = 2**20, 10**6

Event = Mapping[str, Any]
Response = dict[str, Any]


class Asked(BaseModel):
    """A JSON body: where the picture is, or the picture itself in base64."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str | None = None
    image: str | None = None

    @model_validator(mode="after")
    def _either(self) -> "Asked":
        if (self.url is None) == (self.image is None):
            raise ValueError('send either {"url": "<address>"} or {"image": "<base64>"}')
        return self


class ProblemError(Exception):
    """What is answered instead: a status, and a problem's type, title and detail."""

    def __init__(self, status: HTTPStatus, detail: str, kind: str | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.kind = status, detail, kind

    @property
    def response(self) -> Response:
        """The answer to API Gateway."""
        kind = f"{TYPES}{self.kind}" if self.kind else "about:blank"
        body = {"type": kind, "title": self.status.phrase, "status": int(self.status), "detail": self.detail}
        more = {"allow": "POST"} if self.status is HTTPStatus.METHOD_NOT_ALLOWED else {}
        return _response(self.status, body, {"content-type": "application/problem+json", **more})


@dataclass(frozen=True)
class Function:
    """A Lambda function: called with an event, it gives what API Gateway sends. Asks for the key before all else."""

    classifier: Classifier
    key: str
    fetcher: Fetcher
    max_bytes: int
    max_pixels: int

    def __call__(self, event: Event, _context: object = None) -> Response:
        """The answer to one event; whatever the client did wrong is an answer too."""
        try:
            self._check(event)
            prediction = self.classifier.classify(self._picture(event), self.max_pixels)
        except ProblemError as problem:
            return problem.response
        except FetchError as error:
            return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error), "not-fetched").response
        except ImageError as error:
            return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error), "unreadable-image").response
        answer = PredictAnswer.of(prediction, self.classifier.spec.synthetic)
        return _response(HTTPStatus.OK, answer.model_dump(mode="json"), {"content-type": "application/json"})

    def _check(self, event: Event) -> None:
        sent = _headers(event).get(HEADER.lower(), "")
        if not hmac.compare_digest(sent.encode(), self.key.encode()):
            raise ProblemError(HTTPStatus.UNAUTHORIZED, f"send the API key in the header {HEADER.lower()}")
        method = _method(event)
        if method != "POST":
            raise ProblemError(HTTPStatus.METHOD_NOT_ALLOWED, f"send a POST. Received: {method}")

    def _picture(self, event: Event) -> bytes:
        body = _body(event)
        if not body:
            raise ProblemError(HTTPStatus.BAD_REQUEST, "the body is empty")
        if len(body) > self.max_bytes * 4 // 3 + MIB:  # base64 in JSON takes a third more
            raise self._too_large()
        kind = _headers(event).get("content-type", "").partition(";")[0].strip().lower()
        if kind.startswith("image/") or kind in ("application/dicom", "application/octet-stream"):
            return self._limited(body)
        if kind not in ("application/json", ""):
            raise ProblemError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                f"send JSON, or a picture with its media type, such as image/png. Received: {kind}",
            )
        asked = _parse(body)
        return self.fetcher.fetch(asked.url) if asked.url is not None else self._limited(_decode(asked.image or ""))

    def _limited(self, data: bytes) -> bytes:
        if len(data) > self.max_bytes:
            raise self._too_large()
        return data

    def _too_large(self) -> ProblemError:
        return ProblemError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the picture is larger than the {self.max_bytes // MIB} MB accepted"
        )


def make_function(environ: Mapping[str, str], serving: ServingConfig) -> Function:
    """The function that environment and settings ask for; its model is loaded and has passed its self-test.

    `CNNCLASSIFIER_API_KEY` must be there, of 16 characters or more. `CNNCLASSIFIER_MODEL_DIR` names the served package
    (default: `serving.released`), `CNNCLASSIFIER_URL_HOSTS` further hosts to fetch from, between commas.
    """
    key = check_key(environ.get(API_KEY, ""))
    folder = environ.get(MODEL_DIR) or serving.released
    if not folder:
        raise ConfigError(f"{MODEL_DIR} is not set, and serving.released names no model either")
    classifier = Classifier.load(Path(folder), Path(folder).name)
    classifier.self_test()
    hosts = [*serving.url_hosts, *(host.strip() for host in environ.get(URL_HOSTS, "").split(",") if host.strip())]
    max_bytes = serving.max_upload_mb * MIB
    fetcher = Fetcher(hosts, max_bytes, serving.url_seconds)
    return Function(classifier, key, fetcher, max_bytes, serving.max_megapixels * MEGAPIXEL)


def _headers(event: Event) -> dict[str, str]:
    """A REST API keeps the case that the client wrote; without headers it sends null."""
    return {name.lower(): text for name, text in (event.get("headers") or {}).items()}


def _method(event: Event) -> str:
    http = event.get("requestContext", {}).get("http", {})  # an HTTP API's
    return str(http.get("method") or event.get("httpMethod") or "nothing")


def _body(event: Event) -> bytes:
    body = event.get("body") or ""
    return _decode(body) if event.get("isBase64Encoded") else body.encode()


def _parse(body: bytes) -> Asked:
    try:
        return Asked.model_validate_json(body)
    except ValidationError as error:
        faults = "; ".join(fault["msg"] for fault in error.errors())
        raise ProblemError(HTTPStatus.BAD_REQUEST, faults) from None


def _decode(text: str) -> bytes:
    try:
        return from_base64(text)
    except DataError as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, str(error)) from None


def _response(status: HTTPStatus, body: Mapping[str, Any], headers: Mapping[str, str]) -> Response:
    return {
        "statusCode": int(status),
        "headers": {**headers, "cache-control": "no-store"},
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }
