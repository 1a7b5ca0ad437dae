"""A reader's label as it comes and as it is answered: types, and how a request is read."""

from typing import Annotated

from flask import Request
from pydantic import ConfigDict, Field, ValidationError
from werkzeug.exceptions import BadRequest, Forbidden, UnsupportedMediaType

from cnnClassifier.web.answers import Message
from cnnClassifier.web.uploads import faults_of

REQUEST_ID = "^[A-Za-z0-9._-]{1,64}$"


class FeedbackRequest(Message):
    """What a reader says an answered image is: a class of the model that answered.

    `request_id` is the answer's; `item` its place in a batch, `index` there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    request_id: Annotated[str, Field(pattern=REQUEST_ID)]
    item: Annotated[int, Field(ge=0, le=100_000)] = 0
    label: Annotated[str, Field(min_length=1, max_length=200)]


class FeedbackAnswer(Message):
    """`POST /api/v1/feedback`: what was kept. `agrees` is null where the model gave no answer to agree with."""

    request_id: str
    item: int
    label: str
    answered: str | None
    agrees: bool | None
    model: str
    version: str


def read_feedback(request: Request) -> FeedbackRequest:
    """A reader's label: JSON, and not from a page of another site, which could only guess what it changes.

    A form of such a page cannot send JSON, and a script there would have to ask first, which nobody here answers; the
    browser's own word on where a request comes from is asked all the same.
    """
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        raise Forbidden("labels are taken from this server's own page and from programs, not from other sites' pages")
    if not request.is_json:
        received = request.mimetype or "no content type"
        raise UnsupportedMediaType(f"send the label as application/json. Received: {received}")
    try:
        return FeedbackRequest.model_validate_json(request.get_data())
    except ValidationError as error:
        raise BadRequest(f'send {{"request_id": ..., "label": ...}}: {faults_of(error)}') from None
