"""Settings and results as MLflow's flat parameters and metrics, within the limits of old servers. Pure."""

import hashlib
import json
import math
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

VALUE_LENGTH = 250  # what MLflow 1 stores of a parameter; 2.x takes 500, 3.x 6000
NAME_LENGTH = 250
DIGEST_LENGTH = 16
FORBIDDEN = re.compile(r"[^\w\-. :/]", re.ASCII)
SAME = 1e-6  # relative; a history file may round what was logged live

ItemT = TypeVar("ItemT")


@dataclass(frozen=True)
class Step:
    """One value of a metric; `step` is the epoch."""

    name: str
    step: int
    value: float


def parameters(settings: Mapping[str, Any]) -> dict[str, str]:
    """Every leaf of a tree of settings under its dotted name; lists as JSON, long values cut and marked."""
    return {legal_name(name): shortened(_text(value)) for name, value in _leaves(settings)}


def numbers(results: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The numeric leaves of a tree of results; `a.value` becomes `a`, while `a.low` and `a.high` stay.

    Lists, texts and truth values are left out: they are in the artifact.
    """
    return {
        legal_name(prefix + name.removesuffix(".value")): float(value)
        for name, value in _leaves(results)
        if is_number(value)
    }


def is_number(value: object) -> bool:
    """Whether a value is a number; True and False are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def legal_name(name: str) -> str:
    """A name of letters, digits and `_-. :/` only, as every MLflow server takes it.

    Where something is replaced or cut, a digest of the whole is left: different names stay different.
    """
    legal = FORBIDDEN.sub("_", name)
    if legal == name and len(name) <= NAME_LENGTH:
        return name
    mark = f"-{digest_of(name)[:8]}"
    return legal[: NAME_LENGTH - len(mark)] + mark


def shortened(value: str) -> str:
    """Cut a long value, leaving a digest of the whole: different values stay different."""
    if len(value) <= VALUE_LENGTH:
        return value
    mark = f"... (sha256 {digest_of(value)})"
    return value[: VALUE_LENGTH - len(mark)] + mark


def digest_of(content: Any) -> str:
    """The first 16 hex digits of the SHA-256 of a JSON value, whatever the order of its keys."""
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]


def same_value(stored: float | None, value: float) -> bool:
    """Whether a server already has a value, up to a file's rounding (and infinity as the largest float)."""
    if stored is None:
        return False
    if math.isnan(stored) or math.isnan(value):
        return math.isnan(stored) and math.isnan(value)
    return math.isclose(_finite(stored), _finite(value), rel_tol=SAME, abs_tol=SAME)


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _finite(value: float) -> float:
    return math.copysign(sys.float_info.max, value) if math.isinf(value) else value
