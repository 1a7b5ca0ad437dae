"""An image's answer as a row, and a part's rows as a Parquet file."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cnnClassifier.inference import Prediction

ERROR = "error"
Row = Mapping[str, Any]


def schema_of(classes: Sequence[str]) -> pa.Schema:
    """The columns: what was asked about, what was answered (as `decision.Answer` says), by whom and how fast.

    `state` is answer, abstained, refused or error; `reason` says why it is not the most probable class.
    `milliseconds`: reading, decoding and the image's share of its batch's pass.
    """
    text = pa.string()
    return pa.schema(
        [
            ("path", text),
            ("state", text),
            ("label", text),
            ("confidence", pa.float64()),
            *((f"probability_{name}", pa.float64()) for name in classes),
            ("prediction_set", pa.list_(text)),
            ("reason", text),
            ("sha256", text),
            ("model", text),
            ("version", text),
            ("milliseconds", pa.float64()),
        ]
    )


def answered(path: str, sha256: str, found: Prediction, seconds: float) -> Row:
    """The row of an image that was read."""
    return {
        "path": path,
        "state": found.state,
        "label": found.label,
        "confidence": found.confidence,
        **{f"probability_{name}": value for name, value in found.probabilities.items()},
        "prediction_set": list(found.prediction_set),
        "reason": "; ".join(found.changes) or None,
        "sha256": sha256,
        "model": found.model,
        "version": found.version,
        "milliseconds": 1000 * seconds,
    }


def unread(path: str, sha256: str | None, reason: str, model: str, version: str, seconds: float) -> Row:
    """The row of a file that could not be answered for."""
    told = {"path": path, "state": ERROR, "reason": reason, "sha256": sha256, "model": model, "version": version}
    return {**told, "milliseconds": 1000 * seconds}


def as_parquet(rows: Sequence[Row], schema: pa.Schema) -> bytes:
    """A Parquet file's bytes."""
    written = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema), written)
    return written.getvalue()
