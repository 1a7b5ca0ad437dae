"""The audit as JSON: numbers first, for DVC and MLflow, then the files behind them, for people and for the report."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from cnnClassifier.audit.compliance import describe_policy
from cnnClassifier.audit.copies import Copies, copies_of_training, find_conflicts, is_trainable
from cnnClassifier.audit.exact_copies import count_same_bytes
from cnnClassifier.audit.findings import Findings
from cnnClassifier.audit.shortcuts import Shortcut
from cnnClassifier.audit.splits import Difference, count_by_split, count_classes, imbalance
from cnnClassifier.audit.verdict import next_steps, verdict
from cnnClassifier.datasets.manifest import ImageRecord


def summarise(found: Findings) -> dict[str, Any]:
    """The audit as JSON; lists stand below `files`, so that the numbers above are few and can be compared."""
    copies = found.copies
    audit: dict[str, Any] = {
        "images": count_by_split(found.records),
        "kept": count_by_split(found.kept.records),
        "classes": count_classes(found.records),
        "across_test": _across_test(found),
        "exact_copies": _exact_copies(found.records, copies),
        "near_copies": _near_copies(copies),
        "label_conflicts": {"sets": len(find_conflicts(copies))},
        "suspects": _suspects(found),
        "unreadable": len(found.rejected),
        "imbalance": _imbalance(found.records),
        "split_differences": {"found": len(found.differences), "largest": _largest(found.differences)},
        "shortcuts": {shortcut.block: _shortcut(shortcut) for shortcut in found.shortcuts},
        "groups": _groups(found.records, found.grouping),
        "policy": describe_policy(found),
        "dropped": dict(sorted(Counter(item.reason for item in found.kept.dropped).items())),
        "files": _files(found, copies),
    }
    return {"verdict": verdict(audit, found.published), "next_steps": next_steps(audit), **audit}


def _across_test(found: Findings) -> dict[str, int]:
    """Test images that training has, too: all, pixel for pixel, and only as near copies."""
    exact = len(copies_of_training(found.records, found.pairs, ["exact"]))
    both = len(copies_of_training(found.records, found.pairs))
    return {"images": both, "exact": exact, "near": both - exact}


def _exact_copies(records: Sequence[ImageRecord], copies: Copies) -> dict[str, int]:
    return {
        "sets": len(copies.sets),
        "redundant_images": sum(len(files) - 1 for files in copies.sets),
        "redundant_by_bytes": count_same_bytes(records),
        "sets_across_test": sum(map(_across_test_border, copies.sets)),
        "sets_across_train_and_valid": sum(map(_across_train_and_valid, copies.sets)),
    }


def _near_copies(copies: Copies) -> dict[str, int]:
    near = copies.near_pairs
    return {
        "pairs": len(near),
        "images": sum(len(files) for files, others in zip(copies.pictures, copies.near, strict=True) if others),
        "pairs_across_test": sum(_across_test_border(one + other) for one, other in near),
        "pairs_across_train_and_valid": sum(_across_train_and_valid(one + other) for one, other in near),
    }


def _across_test_border(files: Sequence[ImageRecord]) -> bool:
    return len({is_trainable(record) for record in files}) == 2


def _across_train_and_valid(files: Sequence[ImageRecord]) -> bool:
    return {"train", "valid"} <= {record.split for record in files}


def _suspects(found: Findings) -> dict[str, int]:
    tested = {record.path for record in found.records if not is_trainable(record)}
    kinds = Counter(suspect.kind for suspect in found.suspects)
    return {
        "masks": kinds["mask"],
        "blank": kinds["blank"],
        "in_test": sum(suspect.path in tested for suspect in found.suspects),
    }


def _imbalance(records: Sequence[ImageRecord]) -> dict[str, float | None]:
    classes = count_classes(records)
    present = {split: counts for split, counts in classes.items() if any(counts.values())}
    everything = {label: sum(counts[label] for counts in classes.values()) for label in next(iter(classes.values()))}
    return {"ratio": imbalance(everything), **{split: imbalance(counts) for split, counts in present.items()}}


def _largest(differences: Sequence[Difference]) -> float:
    return round(max((item.effect for item in differences), default=0.0), 3)


def _shortcut(shortcut: Shortcut) -> dict[str, Any]:
    """Areas under the curve by class as a list: MLflow and DVC need not follow every one."""
    return {
        "balanced_accuracy": shortcut.balanced_accuracy,
        "accuracy": shortcut.accuracy["value"],
        "chance": round(shortcut.chance, 6),
        "majority": round(shortcut.majority, 6),
        "flagged": len(shortcut.flagged),
        "classes": [asdict(item) for item in shortcut.classes],
    }


def _groups(records: Sequence[ImageRecord], grouping: Mapping[str, Any]) -> dict[str, Any]:
    sizes = Counter(record.group for record in records)
    trained = {record.group for record in records if is_trainable(record)}
    return {
        "count": len(sizes),
        "largest": max(sizes.values(), default=0),
        "test_images_of_training_groups": sum(
            record.group in trained for record in records if not is_trainable(record)
        ),
        **grouping,
    }


def _files(found: Findings, copies: Copies) -> dict[str, Any]:
    return {
        "exact_copies": [[record.path for record in files] for files in copies.sets],
        "near_copies": [[one[0].path, other[0].path] for one, other in copies.near_pairs],
        "label_conflicts": [[record.path for record in files] for files in find_conflicts(copies)],
        "suspects": [asdict(suspect) for suspect in found.suspects],
        "unreadable": [asdict(item) for item in found.rejected],
        "split_differences": [asdict(item) for item in found.differences],
        "given_away": [
            {"block": shortcut.block, "label": label} for shortcut in found.shortcuts for label in shortcut.flagged
        ],
        "dropped": [asdict(item) for item in found.kept.dropped],
    }
