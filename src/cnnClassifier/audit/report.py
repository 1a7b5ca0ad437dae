"""The audit as one HTML file that can be mailed, printed and read without a network: pictures and style are inside."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Template
from markupsafe import Markup, escape

from cnnClassifier import DISCLAIMER
from cnnClassifier.audit.pairs import CopyPair
from cnnClassifier.audit.pictures import thumbnail
from cnnClassifier.audit.sections import tell
from cnnClassifier.audit.shots import Shot, galleries
from cnnClassifier.datasets.manifest import ImageRecord
from cnnClassifier.files import write_text
from cnnClassifier.html_pages import templates_of

LINES = 1000  # of a complete list in the page; audit.json has the rest
SIZE_STEPS = (1, 2, 4, 8, 16, 32, 64, 128)  # least sizes of the bars of the histogram of groups


def write_report(
    audit: Mapping[str, Any],
    records: Sequence[ImageRecord],
    pairs: Sequence[CopyPair],
    images: Path,
    path: Path,
    title: str = "Data audit",
) -> None:
    """Write the report on an audit as `summarise` gives it; `records` with their final groups, paths below `images`.

    Its size does not grow with the data set: some 200 pictures at most, and the first thousand lines of each list.
    """
    write_text(render(audit, records, pairs, images, title), path)


def render(
    audit: Mapping[str, Any], records: Sequence[ImageRecord], pairs: Sequence[CopyPair], images: Path, title: str
) -> str:
    """The page as text. Everything in it that comes from file names, labels or messages is escaped."""
    sections, groups = tell(audit, records, pairs), galleries(records)
    shown = [*(shot for section in sections for shot in section.shots), *groups]
    return _template().render(
        title=title,
        audit=audit,
        sections=sections,
        galleries=groups,
        sizes=size_histogram(records),
        thumbnails=_thumbnails(shown, images),
        lines=LINES,
        disclaimer=DISCLAIMER,
    )


def size_histogram(records: Sequence[ImageRecord]) -> list[tuple[str, int]]:
    """How many groups have so many images: a label such as "4-7" and a count, doubling steps, from 1 to the largest."""
    sizes = Counter(record.group for record in records).values()
    bars = []
    for low, high in zip(SIZE_STEPS, [*(step - 1 for step in SIZE_STEPS[1:]), None], strict=True):
        if any(size >= low for size in sizes):
            count = sum(low <= size and (high is None or size <= high) for size in sizes)
            bars.append((f"{low} or more" if high is None else str(low) if high == low else f"{low}-{high}", count))
    return bars


def _thumbnails(shots: Sequence[Shot], images: Path) -> dict[str, str | None]:
    return {path: thumbnail(images / path) for path in sorted({path for shot in shots for path in shot.paths})}


def _template() -> Template:
    environment = templates_of("cnnClassifier.audit")
    environment.filters["code"] = _code
    return environment.get_template("report.html")


def _code(words: str) -> Markup:
    """Escaped text, in which what stands in backticks is set as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(words))))  # noqa: S704 - escaped just before
