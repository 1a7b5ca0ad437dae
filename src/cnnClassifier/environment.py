"""Variables of the process's environment, for what libraries take from there alone."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

WITHIN_PIPELINE = "CNNCLASSIFIER_WITHIN_PIPELINE"  # set for the stages that `python main.py` runs through DVC


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """Set environment variables for the length of a block, then restore them."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
