"""The whole audit of a set of images, from files to findings."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cnnClassifier.audit.descriptor import sketch_images
from cnnClassifier.audit.facts import Facts, gather_facts
from cnnClassifier.audit.findings import Findings
from cnnClassifier.audit.groups import assign_groups, copy_pairs, has_metadata, threshold_table
from cnnClassifier.audit.near_copies import NEIGHBOURS, Match, find_matches
from cnnClassifier.audit.policy import apply_policy
from cnnClassifier.audit.shortcuts import find_shortcuts
from cnnClassifier.audit.splits import compare_splits
from cnnClassifier.audit.suspects import find_suspects
from cnnClassifier.config.data import DataAuditConfig, RandomSplit
from cnnClassifier.datasets.manifest import Drawn, ImageRecord, RejectedFile
from cnnClassifier.datasets.splits import deal_splits
from cnnClassifier.files import scratch_folder


def examine(
    records: Sequence[ImageRecord],
    images: Path,
    scratch: Path,
    config: DataAuditConfig,
    rejected: Sequence[RejectedFile] = (),
    published: bool = True,
    applied: bool = True,
    drawn: Drawn | None = None,
) -> tuple[Findings, Facts]:
    """Look at every image, compare them, group them, apply the policy; the findings, and the facts they rest on.

    `scratch` is a folder for what does not fit into memory; it is gone afterwards. `published` and `applied` as in
    Findings. `drawn`: the source has no splits of its own, so they are dealt here, where it is known which images
    belong together. Nothing found is an error here: what must not be is for `compliance.check_policy`, once all is
    written down.
    """
    facts = gather_facts(records, images)
    suspects = find_suspects(records, facts)
    # Masks of neighbouring slices are alike, and are a finding of their own: compared with scans they would pass for
    # copies, a shortcut, or a difference between splits. With `masks: keep` they count as scans. Blank images stay
    # out: all are equal, and would merge the patients who have one into one group.
    not_scans = {suspect.path for suspect in suspects if suspect.kind == "blank" or config.masks != "keep"}
    scans, matches = _match(records, facts, not_scans, images, scratch)
    pairs = copy_pairs(scans, matches, config.near_copy)
    grouped = assign_groups(records, scans, matches, pairs, config.same_patient)
    if drawn:
        grouped = _deal(grouped, not_scans if config.masks == "drop" else (), drawn)
    proper = [record for record in grouped if record.path not in not_scans]
    labels, groups = [record.label for record in proper], [record.group for record in proper]
    findings = Findings(
        records=grouped,
        kept=apply_policy(grouped, pairs, suspects, config, drawn=drawn is not None),
        pairs=pairs,
        suspects=suspects,
        shortcuts=find_shortcuts(facts.of(proper), labels, groups, config.seed),
        differences=compare_splits(proper, facts.of(proper)),
        rejected=rejected,
        published=published,
        grouping=_grouping(scans, matches, config.same_patient),
        config=config,
        applied=applied,
    )
    return findings, facts


def _deal(records: Sequence[ImageRecord], dropped: Collection[str], drawn: Drawn) -> list[ImageRecord]:
    """The records with splits drawn among those that are not dropped: what nobody will see fills no test split.

    A dropped one is put where its group is, so that no group seems to be on both sides.
    """
    shares = RandomSplit(valid=drawn.valid, test=drawn.test)
    dealt = deal_splits([record for record in records if record.path not in dropped], shares, drawn.seed)
    split = {record.group: record.split for record in dealt}
    return [replace(record, split=split.get(record.group, "train")) for record in records]


def _match(
    records: Sequence[ImageRecord], facts: Facts, not_scans: Collection[str], images: Path, scratch: Path
) -> tuple[list[ImageRecord], list[Match]]:
    """The images that are scans, and which of them are alike."""
    # In path order: aligning one picture to another is not quite the same as the other way round.
    rows = sorted(
        (row for row, record in enumerate(records) if record.path not in not_scans), key=lambda row: records[row].path
    )
    scans = [records[row] for row in rows]
    chosen = _compared(scans)
    compared = [scans[row] for row in chosen]
    hashes = np.ascontiguousarray(facts.of(compared).phash).view(np.uint8).reshape(-1, 8)
    with scratch_folder(scratch) as folder:
        matches = find_matches(sketch_images(compared, images, folder), hashes)
    return scans, [replace(match, first=chosen[match.first], second=chosen[match.second]) for match in matches]


def _compared(scans: Sequence[ImageRecord]) -> list[int]:
    """The rows to compare: all, but one of each picture where one has so many copies that they are all its neighbours.

    Nothing is lost by it: copies are one picture to the policy, and one patient's.
    """
    copies = Counter(record.pixel_hash for record in scans)
    if max(copies.values(), default=0) <= NEIGHBOURS:
        return list(range(len(scans)))
    first: dict[str, int] = {}
    for row, record in enumerate(scans):
        first.setdefault(record.pixel_hash, row)
    return list(first.values())


def _grouping(scans: Sequence[ImageRecord], matches: Sequence[Match], same_patient: float) -> dict[str, Any]:
    named = sum(has_metadata(record) for record in scans)
    return {
        "how": _how(named, len(scans), same_patient),
        "from_metadata": named,
        "threshold": same_patient,
        "by_threshold": threshold_table(scans, matches),
    }


def _how(named: int, images: int, same_patient: float) -> str:
    if named == images:
        return "Groups are what the metadata or the file names say; those that share a copy are joined."
    clustered = (
        "images whose fine detail correlates, once aligned, by at least "
        f"{same_patient:g} are taken for one patient's, and so are those connected through others"
    )
    if not named:
        return f"No metadata names patients: {clustered}."
    return f"Metadata names the patient of {named} of {images} images; of the others, {clustered}."
