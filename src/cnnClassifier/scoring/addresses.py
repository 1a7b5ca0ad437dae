"""Where images lie, and their bytes: local paths, and whatever else pyarrow has a file system for (s3, gs, abfs).

An address is an absolute local path or `scheme://bucket/key`. Credentials and endpoints come from the environment, as
each store's own tools take them (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL ...).
"""

import csv
import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileSelector, FileSystem, FileType

from cnnClassifier.datasets.folders import walk_files
from cnnClassifier.errors import DataError
from cnnClassifier.files import in_utf8

LARGEST = 2**30  # bytes of a file: no picture is larger, and one that is would be read into memory whole
MANIFESTS = (".csv", ".parquet")
COLUMN = "path"
ESCAPED = re.compile(r"\\x[0-9a-f]{2}")  # what `in_utf8` makes of a name

# What pyarrow raises for a store that cannot be reached or refuses; most are an OSError too.
STORE_ERRORS = (OSError, pa.ArrowException)


def absolute(source: str) -> str:
    """An address that means the same from any folder and on any node; DataError for a file:// with no whole path."""
    if source.startswith("file://"):
        return _path_of(source)
    return source if "://" in source else str(Path(source).absolute())


def _path_of(uri: str) -> str:
    """The path of a file:// address. What stands before a path is a host, so file://scans names no folder."""
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost") or not parts.path:
        raise DataError(f"{uri}: names no file or folder; write file:///absolute/path, or the path alone")
    return unquote(parts.path)


def list_addresses(source: str, base: str) -> Iterator[str]:
    """The files below a folder or prefix, or those that a manifest names, its relative paths being below `base`.

    Hidden files are passed over. Raises DataError for a source that is not there, cannot be listed or has no file. A
    name that is not UTF-8 comes escaped: neither the plan nor an answer can hold it. The first is looked for at once.
    """
    found = _list(source, base)
    if (first := next(found, None)) is None:
        raise DataError(f"{source}: no files in there")
    return chain([first], found)


def _list(source: str, base: str) -> Iterator[str]:
    if "://" in source:
        yield from _list_store(source)
    elif Path(source).is_dir():
        linked: list[str] = []  # files that lie elsewhere
        for names in (walk_files(Path(source), left_out=linked), linked):
            yield from (in_utf8(f"{source.rstrip('/')}/{name}") for name in names)
    elif not Path(source).is_file():
        raise DataError(f"{source}: no such folder or file")
    elif source.lower().endswith(MANIFESTS):
        yield from (in_utf8(_below(base, path)) for path in _manifest_paths(Path(source)))
    else:
        yield in_utf8(source)


def fetch(address: str) -> bytes:
    """A file's bytes; DataError with the reason why they cannot be had."""
    try:
        return _fetch_stored(address) if "://" in address else _fetch_local(Path(address))
    except STORE_ERRORS as error:
        raise DataError(f"cannot be read: {_reason(error)}") from None


def _fetch_local(path: Path) -> bytes:
    if not path.is_file():  # reading a pipe would wait for ever
        raise DataError(_why_no_file(path))
    _check_size(path.stat().st_size)
    return path.read_bytes()


def _why_no_file(path: Path) -> str:
    if path.exists():
        return "not a regular file"
    return "its name is not UTF-8; rename it" if ESCAPED.search(str(path)) else "no such file"


def _fetch_stored(address: str) -> bytes:
    system, path = _store(address)
    with system.open_input_file(path) as file:
        _check_size(file.size())
        data: bytes = file.read()
        return data


def _check_size(size: int) -> None:
    if size > LARGEST:
        raise DataError(f"larger than the {LARGEST // 2**30} GB that a picture or archive may have")


def _list_store(prefix: str) -> Iterator[str]:
    system, path = _store(prefix.rstrip("/"))
    scheme = prefix.partition("://")[0]
    try:
        found = system.get_file_info(FileSelector(path, recursive=True))
    except STORE_ERRORS as error:
        raise DataError(f"{prefix}: cannot be listed: {_reason(error)}") from None
    for info in found:
        if info.type == FileType.File and "/." not in info.path:
            yield f"{scheme}://{info.path}"


def _store(address: str) -> tuple[Any, str]:
    """The file system that an address leads to, and the path in it."""
    scheme, _, path = address.partition("://")
    return _connect(scheme, path.partition("/")[0]), path


@cache
def _connect(scheme: str, bucket: str) -> Any:
    """One connection a bucket: pyarrow asks the store for the bucket's region first."""
    try:
        return FileSystem.from_uri(f"{scheme}://{bucket}")[0]
    except (*STORE_ERRORS, ValueError) as error:
        raise DataError(f"{scheme}://{bucket}: not a store that can be read: {_reason(error)}") from None


def _manifest_paths(manifest: Path) -> Iterator[str]:
    """The column `path`, a row group or a line at a time; DataError for none, and for a row without a path."""
    rows = _parquet_rows if manifest.suffix.lower() == ".parquet" else _csv_rows
    try:
        for place, path in rows(manifest):
            if not path or not isinstance(path, str):
                raise DataError(f"{manifest}, {place}: {COLUMN!r} is empty or no text; correct it. Received: {path!r}")
            yield path
    except (KeyError, ValueError, csv.Error, *STORE_ERRORS) as error:
        raise DataError(f"{manifest}: not a table with a column {COLUMN!r}: {_reason(error)}") from None


def _parquet_rows(manifest: Path) -> Iterator[tuple[str, object]]:
    table = pq.ParquetFile(manifest)
    _check_column(table.schema_arrow.names)
    columns = (batch.column(COLUMN).to_pylist() for batch in table.iter_batches(columns=[COLUMN]))
    for row, path in enumerate(chain.from_iterable(columns), start=1):
        yield f"row {row}", path


def _csv_rows(manifest: Path) -> Iterator[tuple[str, object]]:
    with manifest.open(newline="", encoding="utf-8-sig") as file:
        table = csv.DictReader(file)
        _check_column(table.fieldnames or ())
        for row in table:
            yield f"line {table.line_num}", row[COLUMN]


def _check_column(names: Sequence[str]) -> None:
    """A table without rows has nothing else to show that it is none of ours."""
    if COLUMN not in names:
        raise ValueError(f"it has {', '.join(names) or 'no column'}")


def _below(base: str, path: str) -> str:
    return path if "://" in path or path.startswith("/") else f"{base.rstrip('/')}/{path}"


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or " ".join(str(error).split())
