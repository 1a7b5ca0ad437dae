"""Groups: which images are probably of one patient or scan; from metadata where there is any, else from pictures."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cnnClassifier.audit.exact_copies import find_exact_copies
from cnnClassifier.audit.near_copies import Match
from cnnClassifier.audit.pairs import CopyPair, clusters, pair_up
from cnnClassifier.datasets.manifest import ImageRecord, group_of_picture

Integers = NDArray[np.int64]

THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)


def copy_pairs(records: Sequence[ImageRecord], matches: Iterable[Match], near_copy: float) -> list[CopyPair]:
    """Exact copies, by the hash of the decoded pixels, and near copies, by matches of at least `near_copy`.

    Two pictures that match as they are and in the mirror, too, are one pair, with the higher correlation.
    """
    near: dict[tuple[int, int], float] = {}
    for match in matches:
        if match.correlation >= near_copy and not _same_pixels(records, match):
            ends = match.first, match.second
            near[ends] = max(match.correlation, near.get(ends, 0.0))
    pairs = (pair_up("near", records[one].path, records[other].path, value) for (one, other), value in near.items())
    return sorted([*find_exact_copies(records), *pairs])


def assign_groups(
    records: Sequence[ImageRecord],
    scans: Sequence[ImageRecord],
    matches: Iterable[Match],
    pairs: Sequence[CopyPair],
    same_patient: float,
) -> list[ImageRecord]:
    """The records with `group` set: one name for all images that are connected, that of the first path.

    Metadata's groups stay together; copies join the groups of both images, whatever the metadata says; where
    at most one of two images has metadata, a match (rows of `scans`) of at least `same_patient` joins them as well.
    """
    rows = {record.path: row for row, record in enumerate(records)}
    edges = [
        *_same_rows(record.group for record in records),
        *((rows[one], rows[other]) for paths in clusters(pairs) for one, other in pairwise(paths)),
        *(
            (rows[scans[one].path], rows[scans[other].path])
            for one, other in _ends(matches, same_patient)
            if not (has_metadata(scans[one]) and has_metadata(scans[other]))
        ),
    ]
    component = _components(len(records), edges)
    names: dict[int, str] = {}
    for row in sorted(range(len(records)), key=lambda row: records[row].path):
        names.setdefault(int(component[row]), records[row].group)
    return [replace(record, group=names[int(component[row])]) for row, record in enumerate(records)]


def threshold_table(records: Sequence[ImageRecord], matches: Sequence[Match]) -> list[dict[str, Any]]:
    """What each threshold would make of the images: how to choose one, and how much hangs on it.

    `mixed` is the share of pairs within a group that have two labels. A patient mostly has one, so a threshold that is
    too low shows as a jump there (docs/audit.md).
    """
    labels = np.unique([record.label for record in records], return_inverse=True)[1]
    copies = list(_same_rows(record.pixel_hash for record in records))
    table = []
    for threshold in THRESHOLDS:
        component = _components(len(records), [*copies, *_ends(matches, threshold)])
        table.append({"same_patient": threshold, **_describe(component, labels)})
    return table


def _describe(component: Integers, labels: Integers) -> dict[str, Any]:
    sizes = np.bincount(component)
    pairs = _pairs_in(sizes)
    alike = _pairs_in(np.bincount(component * (labels.max(initial=0) + 1) + labels))
    return {
        "groups": len(sizes),
        "largest": int(sizes.max(initial=0)),
        "single_images": int((sizes == 1).sum()),
        "mixed": round(1 - alike / pairs, 6) if pairs else 0.0,
    }


def _pairs_in(sizes: Integers) -> int:
    return int((sizes * (sizes - 1) // 2).sum())


def _components(count: int, edges: Sequence[tuple[int, int]]) -> Integers:
    ends = np.array(edges, np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends), np.int8), (ends[:, 0], ends[:, 1])), shape=(count, count))
    component: Integers = connected_components(graph, directed=False)[1].astype(np.int64)
    return component


def _ends(matches: Iterable[Match], least: float) -> Iterable[tuple[int, int]]:
    """The rows that matches connect. A mirrored likeness counts only for copies: all bodies are nearly symmetric."""
    return ((match.first, match.second) for match in matches if match.correlation >= least and not match.mirrored)


def _same_rows(keys: Iterable[str]) -> Iterable[tuple[int, int]]:
    """Each row with the first that has its key."""
    first: dict[str, int] = {}
    for row, key in enumerate(keys):
        if first.setdefault(key, row) != row:
            yield first[key], row


def _same_pixels(records: Sequence[ImageRecord], match: Match) -> bool:
    return records[match.first].pixel_hash == records[match.second].pixel_hash


def has_metadata(record: ImageRecord) -> bool:
    """Without metadata, ingestion names a group after the picture itself."""
    return record.group != group_of_picture(record.pixel_hash)
