"""`python main.py backup` and `python main.py restore`."""

import filecmp
import logging
import os
import shutil
import tempfile
from pathlib import Path

from cnnClassifier.backup import archive, tables
from cnnClassifier.backup.stores import Store, local_copy, upload
from cnnClassifier.destinations import check_outside
from cnnClassifier.errors import DataError, TrackingError
from cnnClassifier.files import new_file
from cnnClassifier.tracking.connection import side_files

log = logging.getLogger(__name__)


def backup(store: Store, out: Path, prediction_log: Path | None = None) -> str:
    """Write a registry, and a prediction log if one is named, to one file; a line that says what it holds.

    Others may go on using both. The tables come first: what they name was there before they named it.
    """
    if out.exists():
        raise DataError(f"{out} is there already, and a backup overwrites nothing")
    if store.folder:
        check_outside(out, store.folder)  # else it would pack itself, and all that was put there before
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".backup-", dir=out.parent) as folder:
        file = Path(folder) / archive.TABLES
        counts = tables.snapshot(store, file)
        if elsewhere := tables.strays(file):
            log.warning(
                "%d runs have artifacts outside of %s, such as %s: their tables are in the backup, these files are not",
                len(elsewhere), store.artifacts, elsewhere[0],
            )  # fmt: skip
        with local_copy(store, out.parent) as artifacts:
            _check_models(tables.model_addresses(file), artifacts, store)
            _check_links(artifacts)
            archive.pack(file, artifacts, prediction_log, counts, out)
    also = f", and {prediction_log}" if prediction_log else ""
    return f"{out}: {tables.in_words(counts)} of {store.title} with their artifacts{also}"


def restore(file: Path, store: Store, prediction_log: Path | None = None) -> str:
    """Fill an unused registry from a backup; a line that says what it has now.

    TrackingError if it has anything that MLflow does not make by itself, DataError if another log stands in the way.
    Artifacts and log come first and the tables last, in one transaction: after a kill the registry is still unused, and
    the command can be repeated.
    """
    tables.check_unused(store)
    scratch = store.folder.parent if store.folder else file.absolute().parent
    scratch.mkdir(parents=True, exist_ok=True)
    with archive.unpacked(file, scratch) as (folder, about):
        _check_log(file, folder / archive.LOG, prediction_log, bool(about["log"]))
        upload(folder / archive.ARTIFACTS, store)
        if prediction_log and not prediction_log.exists():
            prediction_log.parent.mkdir(parents=True, exist_ok=True)
            with new_file(prediction_log) as partial:
                shutil.copyfile(folder / archive.LOG, partial)
        counts = tables.fill(folder / archive.TABLES, store)
    also = f", and {prediction_log}" if prediction_log else ""
    return f"{store.title}: {tables.in_words(counts)} with their artifacts{also}"


def _check_models(addresses: list[str], artifacts: Path, store: Store) -> None:
    """TrackingError if no version's files are where the store's artifacts are said to be; a warning if some are not."""
    missing = [address for address in addresses if not _is_there(address, artifacts)]
    if missing and len(missing) == len(addresses):
        raise TrackingError(
            f"{store.artifacts} has none of the {len(addresses)} models, such as {missing[0]}; is it the right place?"
        )
    if missing:
        log.warning("the files of %d model versions are not there, such as %s", len(missing), missing[0])


def _check_links(artifacts: Path) -> None:
    """DataError naming a link that leads nowhere: what was behind it, perhaps on another disk, would not be saved."""
    for folder, _, names in os.walk(artifacts, followlinks=True):
        for path in (Path(folder, name) for name in names):
            if path.is_symlink() and not path.exists():
                raise DataError(
                    f"{path}: a link to {path.readlink()}, which is not there; bring that back, or remove the link"
                )


def _is_there(address: str, artifacts: Path) -> bool:
    return address.startswith(tables.NEUTRAL) and (artifacts / address.removeprefix(tables.NEUTRAL)).is_dir()


def _check_log(file: Path, unpacked: Path, prediction_log: Path | None, is_inside: bool) -> None:
    """DataError unless a log goes where there is none, or the same one: what a restore that failed has left."""
    if prediction_log and not is_inside:
        raise DataError(f"{file} holds no prediction log; leave out --log")
    if is_inside and not prediction_log:
        raise DataError(f"{file} holds a prediction log too; say with --log where it goes")
    if prediction_log and prediction_log.exists() and not _is_same(prediction_log, unpacked):
        raise DataError(f"{prediction_log} is there already, and a restore overwrites nothing")
    if prediction_log and not prediction_log.exists() and (left := side_files(prediction_log)):
        raise DataError(
            f"{prediction_log} is not there, but beside it is {left}, of another log, which SQLite would write into "
            "the restored one; move it to where that log is, or away"
        )


def _is_same(log: Path, unpacked: Path) -> bool:
    return log.is_file() and filecmp.cmp(log, unpacked, shallow=False)
