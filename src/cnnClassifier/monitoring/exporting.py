"""Readers' labels as a table that `data_ingestion` reads, each put to the file it was given for.

No image is kept by the server: whoever has the images finds them by the SHA-256 of their bytes.
"""

import csv
import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from cnnClassifier.batching import map_in_threads
from cnnClassifier.destinations import check_new_file
from cnnClassifier.errors import DataError
from cnnClassifier.files import file_sha256, in_utf8, new_file
from cnnClassifier.monitoring.entries import read_log
from cnnClassifier.monitoring.feedback import Correction, corrections

log = logging.getLogger(__name__)

COLUMNS = ("file", "label", "sha256", "request_id", "item", "answered", "state", "model", "version", "time")


def export_feedback(log_file: Path, out: Path, images: Path | None, model: str | None) -> str:
    """Write the newest label of each image, and say in one line what became a row.

    With `images`, rows are of the files that are there, relative to it (one of several equal ones); without, `file` is
    empty, and the table says what to look for. DataError where readers said nothing, ConfigError or OSError where the
    table cannot be written.
    """
    place = check_new_file(out, read=[log_file])
    with closing(read_log(log_file)) as connection:
        found = corrections(connection, model)
    if not found:
        raise DataError(f"{log_file}: no reader has labelled an answer{f' of {model}' if model else ''}")
    newest = {correction.sha256: correction for correction in found if correction.sha256}
    files = _files_by_content(images) if images else {}
    rows = [each for each in newest.values() if images is None or each.sha256 in files]
    with new_file(place) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(_row(each, files) for each in rows)
    return _in_words(found, newest, rows, out, images)


def _in_words(
    found: Sequence[Correction],
    newest: Mapping[str, Correction],
    rows: Sequence[Correction],
    out: Path,
    images: Path | None,
) -> str:
    said = f"{out}: {len(rows)} images with readers' labels"
    changed = len(found) - len(newest)
    notes = [f"{changed} labels replaced by a later one of the same image, or without a SHA-256"] if changed else []
    if images is None:
        notes.append("no --images, so the column `file` is empty")
    elif len(rows) < len(newest):
        notes.append(f"{len(newest) - len(rows)} more are of images that are not in {images}")
    return "; ".join([said, *notes])


def _row(correction: Correction, files: Mapping[str, str]) -> dict[str, object]:
    at = datetime.fromtimestamp(correction.time, UTC).isoformat(timespec="seconds")
    given = {name: getattr(correction, name) for name in COLUMNS if name not in ("file", "time")}
    return {**given, "file": files.get(correction.sha256 or "", ""), "time": at}


def _files_by_content(folder: Path) -> dict[str, str]:
    """Each file's path below a folder, by the SHA-256 of its bytes."""
    if not folder.is_dir():
        raise DataError(f"--images {folder}: no such folder")
    files = _files_below(folder)
    if not files:
        raise DataError(f"--images {folder}: no files in it")
    named = {name: file for file in files if in_utf8(name := file.relative_to(folder).as_posix()) == name}
    if left_out := len(files) - len(named):
        log.warning("%d files left out, as no table can hold a name that is not UTF-8", left_out)
    digests = map_in_threads(file_sha256, list(named.values()), "read images", unit="file")
    return dict(zip(digests, named, strict=True))


def _files_below(folder: Path) -> list[Path]:
    """All files, hidden ones and those of linked folders too; no folder twice, however it is linked to."""
    entered: set[Path] = set()
    found: list[Path] = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        if (real := Path(parent).resolve()) in entered:
            folders.clear()
            continue
        entered.add(real)
        folders.sort()
        found += (Path(parent) / name for name in names)
    return sorted(file for file in found if file.is_file())
