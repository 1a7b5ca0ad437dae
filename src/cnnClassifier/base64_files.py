"""A file as text, as JSON carries it."""

import base64

from cnnClassifier.errors import DataError


def from_base64(text: str) -> bytes:
    """Bytes of base64, with or without the head of a data URL; DataError for what is neither."""
    encoded = text.partition(",")[2] if text.startswith("data:") else text
    try:
        # Many encoders wrap lines; white space is no error, any other foreign character is.
        return base64.b64decode("".join(encoded.split()), validate=True)
    except ValueError:
        raise DataError("this is not base64") from None
