"""The file of a backup: a tar of `backup.json`, the tables as SQLite, all artifacts, and perhaps the prediction log."""

import errno
import json
import logging
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cnnClassifier import __version__
from cnnClassifier.backup.sqlite import copy_sqlite
from cnnClassifier.errors import DataError
from cnnClassifier.files import FULL, naming_file, new_file, write_json

FORMAT = 1
ABOUT, TABLES, ARTIFACTS, LOG = "backup.json", "registry.db", "artifacts", "predictions.db"
OF_THE_PLACE = (*FULL, errno.EACCES, errno.EPERM, errno.EROFS)  # errors of where files go, not of what is in the backup

log = logging.getLogger(__name__)


def pack(tables: Path, artifacts: Path, prediction_log: Path | None, counts: dict[str, int], out: Path) -> None:
    """Write the archive under a temporary name, then rename it. Weights do not compress, so nothing is."""
    about = {
        "format": FORMAT,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "cnnClassifier": __version__,
        "rows": counts,
        "log": prediction_log is not None,
    }
    with tempfile.TemporaryDirectory(prefix=".backup-", dir=out.parent) as folder, new_file(out) as partial:
        write_json(about, Path(folder) / ABOUT)
        with tarfile.open(partial, "w", dereference=True) as tar:  # artifacts may lie behind links
            tar.add(tables, TABLES)
            tar.add(artifacts, ARTIFACTS)
            if prediction_log:
                tar.add(_copy_of(prediction_log, Path(folder) / LOG), LOG)
            tar.add(Path(folder) / ABOUT, ABOUT)  # last: a file that was cut between two members has none


@contextmanager
def unpacked(archive: Path, scratch: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The archive's files in a folder below `scratch` that is removed again, and what backup.json says.

    DataError if it is no whole backup, OSError naming the place for a full disk or missing rights.
    """
    if not archive.is_file():
        raise DataError(f"{archive}: no such file")
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=scratch) as folder:
        try:
            with naming_file(scratch), tarfile.open(archive) as tar:
                tar.extractall(folder, filter="data")
            about = json.loads((Path(folder) / ABOUT).read_text(encoding="utf-8"))
        except (tarfile.TarError, OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in OF_THE_PLACE:
                raise
            raise DataError(f"{archive}: not a whole backup: {error}") from None
        if about.get("format") != FORMAT:
            raise DataError(f"{archive}: a backup of format {about.get('format')}; this version reads {FORMAT}")
        (Path(folder) / ARTIFACTS).mkdir(exist_ok=True)
        yield Path(folder), about


def _copy_of(prediction_log: Path, file: Path) -> Path:
    """SQLite's online backup of a log that a server may be writing."""
    if not prediction_log.is_file():
        raise DataError(f"{prediction_log}: no such prediction log")
    copy_sqlite(prediction_log, file)
    return file
