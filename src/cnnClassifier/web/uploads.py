"""From a request to the bytes of one image, held in memory only."""

import base64
import binascii
import io
from typing import IO

from flask import Request
from pydantic import ValidationError
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from cnnClassifier.web.answers import PredictRequest

FIELD = "image"


class InMemoryRequest(Request):
    """A request whose uploads never touch the disk: by default those above 500 kB go to a temporary file."""

    def _get_file_stream(self, *_: object, **__: object) -> IO[bytes]:
        return io.BytesIO()


def image_bytes(request: Request) -> bytes:
    """The one image of a multipart or JSON request; 400 if it is not there, 415 if it is neither kind."""
    if request.mimetype == "multipart/form-data":
        return _from_form(request)
    if request.is_json:
        return _from_json(request)
    raise UnsupportedMediaType(
        f"send the image as multipart/form-data, in the file field {FIELD!r}, or as application/json "
        f'{{"{FIELD}": "<base64>"}}. Received: {request.mimetype or "no content type"}'
    )


def _from_form(request: Request) -> bytes:
    files = request.files.getlist(FIELD)
    if len(files) != 1:
        raise BadRequest(f"send one file in the field {FIELD!r}. Received: {len(files)}{_other_fields(request)}")
    data: bytes = files[0].read()
    return data


def _other_fields(request: Request) -> str:
    others = sorted({*request.files, *request.form} - {FIELD})
    return f" (and the fields {', '.join(others)})" if others else ""


def _from_json(request: Request) -> bytes:
    try:
        body = PredictRequest.model_validate_json(request.get_data())
    except ValidationError as error:
        faults = "; ".join(fault["msg"] for fault in error.errors())
        raise BadRequest(f'send {{"{FIELD}": "<base64>"}}: {faults}') from None
    return _from_base64(body.image)


def _from_base64(text: str) -> bytes:
    encoded = text.partition(",")[2] if text.startswith("data:") else text
    try:
        # Many encoders wrap lines; white space is no error, any other foreign character is.
        return base64.b64decode("".join(encoded.split()), validate=True)
    except (binascii.Error, ValueError):
        raise BadRequest(f"{FIELD!r} is not base64") from None
