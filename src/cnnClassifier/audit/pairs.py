"""Pairs of copies: the table that finding them writes and that policy, protocols and report read."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cnnClassifier.datasets.manifest import read_table
from cnnClassifier.errors import DataError
from cnnClassifier.files import new_file

Kind = Literal["exact", "near"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# Test images that a protocol does not count: those that also are in training, by these kinds of copy.
LEFT_OUT: Mapping[str, tuple[Kind, ...]] = {"without_exact_copies": ("exact",), "deduplicated": KINDS}


@dataclass(frozen=True, order=True)
class CopyPair:
    """Two files with one picture, by their paths, `first` < `second`.

    `exact`: equal pixels; `near`: one slice saved twice. `correlation` is that of the two pictures after aligning
    them, 1 for exact copies.
    """

    kind: Kind
    first: str
    second: str
    correlation: float = 1.0


COLUMNS = tuple(field.name for field in fields(CopyPair))


def pair_up(kind: Kind, one: str, other: str, correlation: float = 1.0) -> CopyPair:
    """A pair of two paths in either order."""
    return CopyPair(kind, min(one, other), max(one, other), correlation)


def write_pairs(pairs: Iterable[CopyPair], path: Path) -> None:
    """Write pairs as CSV: exact before near, then by path, whatever order they come in."""
    with new_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((*astuple(pair)[:3], f"{pair.correlation:.6f}") for pair in sorted(pairs))


def read_pairs(path: Path) -> list[CopyPair]:
    """Read pairs; raise DataError naming the file, and the line where a row is not one."""
    return read_table(path, COLUMNS, _parse_row, "no table of copies; run `python main.py data_audit` first")


def clusters(pairs: Iterable[CopyPair], *kinds: Kind) -> list[list[str]]:
    """Sets of paths that pairs of these kinds (default: both) connect, however far apart; in path order."""
    edges = [pair for pair in pairs if pair.kind in (kinds or KINDS)]
    paths = sorted({path for pair in edges for path in (pair.first, pair.second)})
    number = {path: index for index, path in enumerate(paths)}
    rows, columns = ([number[getattr(pair, end)] for pair in edges] for end in ("first", "second"))
    graph = coo_array((np.ones(len(edges), np.int8), (rows, columns)), shape=(len(paths), len(paths)))
    found: dict[int, list[str]] = {}
    for path, component in zip(paths, connected_components(graph, directed=False)[1], strict=True):
        found.setdefault(int(component), []).append(path)
    return list(found.values())


def _parse_row(row: dict[str, str], where: str) -> CopyPair:
    try:
        pair = CopyPair(row["kind"], row["first"], row["second"], float(row["correlation"]))  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: not a pair of copies: {error}") from None
    if pair.kind not in KINDS or not pair.first < pair.second:
        raise DataError(f"{where}: not a pair of copies: {','.join(row.values())}; run `python main.py data_audit`")
    return pair
