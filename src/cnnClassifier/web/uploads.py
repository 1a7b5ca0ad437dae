"""From a request that is let in to the bytes of its files, held in memory only."""

import io
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TypeVar

from flask import Request
from pydantic import ValidationError
from pydantic_core import from_json
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from cnnClassifier.base64_files import from_base64
from cnnClassifier.errors import DataError
from cnnClassifier.fetching import Fetcher, FetchError
from cnnClassifier.web.admission import Admission
from cnnClassifier.web.answers import BatchQuery, BatchRequest, Message, PredictRequest, UrlRequest
from cnnClassifier.web.observer import Observer

MessageT = TypeVar("MessageT", bound=Message)

FIELD = "image"
NO_FETCHING = "this server fetches nothing, as no host stands in serving.url_hosts; send the image itself"
IN_THE_ADDRESS = "Which model, window and frame are asked for goes into the address: ?model=...&frame=..."
# Bodies that are the file itself. What it is, its bytes say: the header is not believed.
RAW_KINDS = (
    "image/png", "image/jpeg", "image/tiff", "image/bmp", "image/gif", "image/webp", "image/jp2",
    "application/dicom", "application/zip", "application/octet-stream",
)  # fmt: skip


@dataclass(frozen=True)
class Upload:
    """A file and what its sender calls it: shown to them again, never logged, never a path."""

    name: str
    data: bytes


class InMemoryRequest(Request):
    """A request whose uploads never touch the disk: by default those above 500 kB go to a temporary file."""

    def _get_file_stream(self, *_: object, **__: object) -> IO[bytes]:
        return io.BytesIO()


@dataclass(frozen=True)
class Reader:
    """Takes the files out of requests that it lets in; addresses in them are followed only if there is a `fetcher`.

    A request stays in for the length of the block that has its files: nobody has them before they are let in.
    """

    observer: Observer
    admission: Admission
    fetcher: Fetcher | None = None

    @contextmanager
    def one(self, request: Request) -> Iterator[bytes]:
        """The one file of a request; 400 if it is not there, 415 for a kind of body that is not read.

        OverloadedError at once, with nothing read or fetched, if too many ask.
        """
        with self.admission.admitted():
            with self.observer.step("read"):
                data = self._one(request)
            yield data

    @contextmanager
    def many(self, request: Request) -> Iterator[list[Upload]]:
        """All files of a request, one or more, likewise; 400 if there is none."""
        with self.admission.admitted():
            with self.observer.step("read"):
                uploads = self._many(request)
            yield uploads

    def _one(self, request: Request) -> bytes:
        if request.mimetype in RAW_KINDS:
            return _body(request)
        if request.mimetype == "multipart/form-data":
            return _one_of_form(request)
        if request.is_json:
            return self._from_json(request, _keys(request))
        raise UnsupportedMediaType(
            f"send the image as multipart/form-data, in the file field {FIELD!r}, as application/json "
            f'{{"{FIELD}": "<base64>"}}, or as the body itself with its media type, such as image/png. '
            f"Received: {request.mimetype or 'no content type'}"
        )

    def _many(self, request: Request) -> list[Upload]:
        if request.mimetype == "multipart/form-data":
            files = request.files.getlist(FIELD)
            if not files or _other_fields(request):
                raise BadRequest(f"send one or more files in the field {FIELD!r}. {_received(request)}")
            return [Upload(file.filename or "", file.read()) for file in files]
        if not request.is_json:
            return [Upload("1", self._one(request))]
        keys = _keys(request)
        if "images" not in keys:
            return [Upload("1", self._from_json(request, keys))]
        body = _parse(request, BatchRequest, '{"images": ["<base64>", ...]}')
        return [Upload(str(number), _decoded(text)) for number, text in enumerate(body.images, 1)]

    def _from_json(self, request: Request, keys: Collection[str]) -> bytes:
        """The image in a JSON body that has these keys, or behind its address."""
        if "url" not in keys:
            return _decoded(_parse(request, PredictRequest, f'{{"{FIELD}": "<base64>"}}').image)
        address = _parse(request, UrlRequest, '{"url": "https://..."}')
        if not self.fetcher:
            raise FetchError(NO_FETCHING)
        return self.fetcher.fetch(address.url)


def _decoded(text: str) -> bytes:
    try:
        return from_base64(text)
    except DataError:
        raise BadRequest(f"{FIELD!r} is not base64") from None


def faults_of(error: ValidationError) -> str:
    """What is wrong with a body or an address, in one line."""
    faults = ((*map(str, fault["loc"]), fault["msg"].removeprefix("Value error, ")) for fault in error.errors())
    return "; ".join(": ".join(fault) for fault in faults)


def _keys(request: Request) -> Collection[str]:
    """What a JSON body has; nothing if it is no object, or broken."""
    try:
        sent = from_json(request.get_data())
    except ValueError:
        return ()
    return sent if isinstance(sent, dict) else ()


def _parse(request: Request, kind: type[MessageT], shape: str) -> MessageT:
    """A JSON body as a message of a kind, which is written as `shape`."""
    try:
        return kind.model_validate_json(request.get_data())
    except ValidationError as error:
        elsewhere = f". {IN_THE_ADDRESS}" if _asked_in_the_body(_keys(request)) else ""
        raise BadRequest(f"send {shape}: {faults_of(error)}{elsewhere}") from None


def _body(request: Request) -> bytes:
    data: bytes = request.get_data()
    if not data:
        raise BadRequest("the body is empty")
    return data


def _one_of_form(request: Request) -> bytes:
    files = request.files.getlist(FIELD)
    if len(files) != 1 or _other_fields(request):
        raise BadRequest(f"send one file in the field {FIELD!r}. {_received(request)}")
    data: bytes = files[0].read()
    return data


def _received(request: Request) -> str:
    """What a form has instead of what it should have."""
    others = _other_fields(request)
    fields = f"; other fields, which are not taken: {', '.join(others)}" if others else ""
    elsewhere = f". {IN_THE_ADDRESS}" if _asked_in_the_body(others) else ""
    return f"Received: {len(request.files.getlist(FIELD))}{fields}{elsewhere}"


def _other_fields(request: Request) -> list[str]:
    return sorted({*request.files, *request.form} - {FIELD})


def _asked_in_the_body(fields: Collection[str]) -> bool:
    return any(field in BatchQuery.model_fields for field in fields)
