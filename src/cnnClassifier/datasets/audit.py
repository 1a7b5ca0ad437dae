"""What is wrong with a data set as labelled and split: exact copies and label conflicts.

Near copies, shortcuts and the report are built on this.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cnnClassifier.config.data import SPLITS, DataAuditConfig
from cnnClassifier.datasets.manifest import ImageRecord
from cnnClassifier.errors import DataError


@dataclass(frozen=True)
class AuditFindings:
    """Sets of images with the same pixels: all of them, those across train+valid and test, those of several labels."""

    copies: list[list[ImageRecord]]
    leaked_into_test: list[list[ImageRecord]]
    conflicts: list[list[ImageRecord]]


def audit(records: Iterable[ImageRecord]) -> AuditFindings:
    """Find pictures that occur more than once, by the hash of their decoded pixels."""
    same = defaultdict(list)
    for record in records:
        same[record.pixel_hash].append(record)
    copies = [group for group in same.values() if len(group) > 1]
    return AuditFindings(
        copies=copies,
        leaked_into_test=[group for group in copies if _crosses_into_test(group)],
        conflicts=[group for group in copies if len({record.label for record in group}) > 1],
    )


def apply_policy(records: Iterable[ImageRecord], policy: DataAuditConfig) -> list[ImageRecord]:
    """The rows the policy lets through. The test split is never touched: it is what others report on.

    Raises DataError when the policy is to fail and there is something to fail for.
    """
    records = list(records)
    findings = audit(records)
    _fail_if_told_to(policy, findings)
    unwanted: set[str] = set()
    if policy.conflicts == "drop":
        unwanted |= {record.id for group in findings.conflicts for record in _trainable(group)}
    if policy.copies == "drop":
        for group in findings.copies:
            spare = _trainable(group) if _crosses_into_test(group) else _trainable(group)[1:]
            unwanted |= {record.id for record in spare}
    return [record for record in records if record.id not in unwanted]


def check_trainable(records: Iterable[ImageRecord], kept: Iterable[ImageRecord]) -> None:
    """Raise DataError for a class of which the policy leaves nothing to train on."""
    left = {record.label for record in kept if record.split != "test"}
    if lost := sorted({record.label for record in records} - left):
        raise DataError(
            f"the audit's policy leaves no training image of {', '.join(lost)}: all are copies of test images or in "
            "conflict (audit.json lists them); bring other images or set `data_audit` to `keep`"
        )


def summarise(
    records: Sequence[ImageRecord], kept: Sequence[ImageRecord], findings: AuditFindings
) -> dict[str, object]:
    """The audit as JSON: counts that DVC and MLflow compare, then the files behind them."""
    return {
        "images": _count_by_split(records),
        "kept": _count_by_split(kept),
        "classes": {split: _count_labels(records, split) for split in SPLITS},
        "exact_copies": {
            "sets": len(findings.copies),
            "redundant_images": sum(len(group) - 1 for group in findings.copies),
            "test_images_also_in_training": sum(
                record.split == "test" for group in findings.leaked_into_test for record in group
            ),
        },
        "label_conflicts": {"sets": len(findings.conflicts)},
        "files": {
            "exact_copies": [[record.path for record in group] for group in findings.copies],
            "label_conflicts": [[record.path for record in group] for group in findings.conflicts],
        },
    }


def is_copy_of_training(records: Iterable[ImageRecord]) -> set[str]:
    """Ids of the test images whose pixels also occur in train or valid."""
    return {record.id for group in audit(records).leaked_into_test for record in group if record.split == "test"}


def _trainable(group: Iterable[ImageRecord]) -> list[ImageRecord]:
    return [record for record in group if record.split != "test"]


def _crosses_into_test(group: Iterable[ImageRecord]) -> bool:
    return len({record.split == "test" for record in group}) == 2


def _fail_if_told_to(policy: DataAuditConfig, findings: AuditFindings) -> None:
    for name, found in (("copies", findings.copies), ("conflicts", findings.conflicts)):
        if getattr(policy, name) == "fail" and found:
            example = ", ".join(record.path for record in found[0])
            raise DataError(
                f"`data_audit.{name}` is `fail`, and there are some; sets found: {len(found)}, the first: {example}"
            )


def _count_by_split(records: Iterable[ImageRecord]) -> dict[str, int]:
    counts = Counter(record.split for record in records)
    return {split: counts[split] for split in SPLITS}


def _count_labels(records: Iterable[ImageRecord], split: str) -> dict[str, int]:
    return dict(sorted(Counter(record.label for record in records if record.split == split).items()))
