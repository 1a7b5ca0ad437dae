"""What the OpenAPI document says beside the routes' own types: bodies of several kinds, problems, the key."""

from typing import Any

from flask_openapi3.models.info import Info
from flask_openapi3.models.tag import Tag

from cnnClassifier import DISCLAIMER, __version__
from cnnClassifier.web.answers import BatchRequest, Message, PredictRequest, UrlRequest
from cnnClassifier.web.problems import PROBLEM_JSON
from cnnClassifier.web.uploads import FIELD, RAW_KINDS

INFO = Info(title="cnnClassifier", version=__version__, description=f"Classifies medical images. {DISCLAIMER}")
ASKING = Tag(name="asking", description="Send images, get answers")
MODELS = Tag(name="models", description="What may be asked, and pictures to try")
SECURITY: dict[str, Any] = {"key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}}
REFUSALS = {
    400: "No image where it should be",
    401: "An API key is wanted",
    403: "Sent by a page of somebody else's",
    404: "No such model, or it cannot do this",
    413: "The body is larger than this server accepts",
    415: "A kind of body that is not read here",
    422: "Not a readable image, or a query out of range",
    429: "Too much at once: try again after Retry-After seconds",
    503: "No model is ready: try again after Retry-After seconds",
}
USUAL = [status for status in REFUSALS if status != 403]
BINARY = {"type": "string", "format": "binary"}


def problems(*statuses: int) -> dict[Any, Any]:
    """Responses that are problem documents; without statuses, those that a question about images may have."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": REFUSALS[status], "content": {PROBLEM_JSON: {"schema": schema}}}
        for status in statuses or USUAL
    }


def content(description: str, *kinds: str) -> dict[str, Any]:
    """A response of bytes or text of these media types."""
    return {"description": description, "content": {kind: {"schema": BINARY} for kind in kinds}}


def answer_or_table(answer: type[Message]) -> dict[str, Any]:
    """A response that is an answer documented elsewhere, or the same as CSV."""
    schema = {"$ref": f"#/components/schemas/{answer.__name__}"}
    kinds = {"application/json": {"schema": schema}, "text/csv": {"schema": {"type": "string"}}}
    return {"description": "The answers", "content": kinds}


def one_file() -> dict[str, Any]:
    """A body with one file: a form, JSON or the bytes themselves."""
    return _body(_form(BINARY), PredictRequest, UrlRequest)


def many_files() -> dict[str, Any]:
    """A body with any number of files, zips among them."""
    return _body(_form({"type": "array", "items": BINARY, "minItems": 1}), PredictRequest, BatchRequest, UrlRequest)


def json_body(message: type[Message]) -> dict[str, Any]:
    """A body that is JSON of one type."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": message.model_json_schema()}}}}


def _body(form: dict[str, Any], *bodies: type[Message]) -> dict[str, Any]:
    json = {"anyOf": [body.model_json_schema() for body in bodies]}
    kinds = {"multipart/form-data": form, "application/json": json} | dict.fromkeys(RAW_KINDS, BINARY)
    return {"requestBody": {"required": True, "content": {kind: {"schema": schema} for kind, schema in kinds.items()}}}


def _form(field: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {FIELD: field}, "required": [FIELD], "additionalProperties": False}
