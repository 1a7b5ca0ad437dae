"""The findings as the report tells them: what was found, what it means, which pictures show it. No pixels here."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnnClassifier.audit.pairs import CopyPair
from cnnClassifier.audit.policy import CONFLICT, IN_TEST, MASK, NEAR_SPARE, NEAR_TEST, SPARE
from cnnClassifier.audit.shots import PICTURES, Shot, by_likeness, contrasts, pair_shots, spread
from cnnClassifier.audit.verdict import BLOCK_WORDS, IMBALANCED
from cnnClassifier.datasets.manifest import ImageRecord

Audit = Mapping[str, Any]
ByPath = Mapping[str, ImageRecord]


@dataclass(frozen=True)
class Section:
    """One finding: how many, in words; what the policy did; two sentences of meaning; pictures; the complete list.

    `found` tells whether there is anything, `grave` whether it changes what a score means. `table` is a header and
    rows of text.
    """

    key: str
    title: str
    count: str
    outcome: str
    meaning: str
    found: bool
    grave: bool = False
    shots: Sequence[Shot] = ()
    table: Sequence[Sequence[str]] = ()
    items: Sequence[str] = ()


def tell(audit: Audit, records: Sequence[ImageRecord], pairs: Sequence[CopyPair]) -> list[Section]:
    """The sections of the report in its order, those without a finding among them."""
    by_path = {record.path: record for record in records}
    return [
        _across_test(audit, by_path, pairs),
        _exact_copies(audit),
        _near_copies(audit, pairs),
        _conflicts(audit, by_path),
        _suspects(audit),
        _shortcuts(audit, records),
        _differences(audit),
        _imbalance(audit),
        _unreadable(audit),
    ]


def _across_test(audit: Audit, by_path: ByPath, pairs: Sequence[CopyPair]) -> Section:
    shared = audit["across_test"]
    exact = [_sides(paths, by_path) for paths in audit["files"]["exact_copies"]]
    shots = [Shot((one[0], other[0]), "pixel for pixel") for one, other in exact if one and other]
    near = by_likeness(audit, (pair for pair in pairs if _crosses(pair, by_path)))
    return Section(
        key="across-test",
        title="Test images that training has, too",
        count=f"{shared['images']} of {audit['images']['test']} ({shared['exact']} exact, {shared['near']} near)"
        if audit["images"]["test"]
        else "no test split",
        outcome=_left_out(audit, IN_TEST, NEAR_TEST) + " from training" + _kept(audit) + "; test stays as it is",
        meaning="A model is asked in the test what it was told in training: it need only remember. The score on these "
        "images says nothing about a patient it has never seen.",
        found=shared["images"] > 0,
        grave=True,
        shots=[*spread(shots, PICTURES // 4), *pair_shots(near, PICTURES // 4)],
        items=[f"{', '.join(test)} = {', '.join(train)}" for train, test in exact if train and test]
        + [_pair_line(pair) for pair in near],
    )


def _exact_copies(audit: Audit) -> Section:
    counts, sets = audit["exact_copies"], audit["files"]["exact_copies"]
    largest = sorted(sets, key=len, reverse=True)
    return Section(
        key="exact-copies",
        title="Exact copies",
        count=f"{_count(counts['redundant_images'], 'file')} too many, in {_count(counts['sets'], 'set')} "
        f"({counts['redundant_by_bytes']} of them equal to the byte)",
        outcome=_left_out(audit, SPARE) + " as a copy within training",
        meaning="A picture that is there twice counts twice, in what is learned and in what is measured. Between "
        f"training and validation ({counts['sets_across_train_and_valid']} sets) it also makes early stopping blind.",
        found=counts["sets"] > 0,
        shots=[Shot(tuple(paths[:2]), f"{len(paths)} files") for paths in largest[: PICTURES // 4]],
        items=[" = ".join(paths) for paths in sets],
    )


def _near_copies(audit: Audit, pairs: Sequence[CopyPair]) -> Section:
    counts = audit["near_copies"]
    near = by_likeness(audit, (pair for pair in pairs if pair.kind == "near"))
    return Section(
        key="near-copies",
        title="Near copies",
        count=f"{_count(counts['pairs'], 'pair')} among {counts['images']} images, {counts['pairs_across_test']} "
        f"across the test border, {counts['pairs_across_train_and_valid']} between train and valid",
        outcome=_left_out(audit, NEAR_SPARE) + " as a near copy within training",
        meaning="The same slice, saved again with another crop, window, size or compression: the bytes differ, the "
        "patient does not. Shown from the most to the least alike; the last ones are where the threshold cuts.",
        found=counts["pairs"] > 0,
        shots=pair_shots(near, PICTURES // 2),
        items=[_pair_line(pair) for pair in near],
    )


def _conflicts(audit: Audit, by_path: ByPath) -> Section:
    sets = audit["files"]["label_conflicts"]
    shown = [tuple({by_path[path].label: path for path in paths}.values()) for paths in sets]
    return Section(
        key="label-conflicts",
        title="One picture under several labels",
        count=_count(len(sets), "picture"),
        outcome=_left_out(audit, CONFLICT) + " from training",
        meaning="At most one of the labels is right, and no model can learn both. If the ones that can be seen are "
        "wrong, others that cannot be seen may be, too.",
        found=bool(sets),
        grave=True,
        shots=[Shot(paths, " or ".join(by_path[path].label for path in paths)) for paths in shown[: PICTURES // 2]],
        items=[" = ".join(f"{path} ({by_path[path].label})" for path in paths) for paths in sets],
    )


def _suspects(audit: Audit) -> Section:
    counts, suspects = audit["suspects"], audit["files"]["suspects"]
    drawn = audit["kept"]["test"] < audit["images"]["test"]  # nothing leaves a published one
    return Section(
        key="suspects",
        title="Masks and blank pictures among the scans",
        count=f"{_count(counts['masks'], 'mask')}, {counts['blank']} blank; {counts['in_test']} of them in test",
        outcome=_left_out(audit, MASK) + (" from every split" if drawn else " from training"),
        meaning="A segmentation mask is the answer drawn by a hand, not a scan: its outline gives the class away. A "
        "model trained or tested on masks has learned nothing about scans.",
        found=bool(suspects),
        grave=True,
        shots=[Shot((item["path"],), item["kind"]) for item in spread(suspects, PICTURES)],
        items=[f"{item['path']} ({item['kind']})" for item in suspects],
    )


def _shortcuts(audit: Audit, records: Sequence[ImageRecord]) -> Section:
    given = audit["files"]["given_away"]
    labels = sorted({item["label"] for item in given})
    words = [f"{names} told from {' or '.join(blocks)}" for names, blocks in _blocks_by_labels(given).items()]
    return Section(
        key="shortcuts",
        title="Shortcuts: the label told without looking at the anatomy",
        count="; ".join(words) if words else "none flagged" if audit["shortcuts"] else "not measured: too few groups",
        outcome="reported; compare models with the shortcut control",
        meaning="A small forest of trees was shown nothing but the facts named, and asked for the label of groups it "
        "had not seen. What it can tell, a network may tell the same way, and fail where the next hospital saves its "
        "images otherwise.",
        found=bool(given),
        grave=True,
        shots=contrasts(labels, records),
        table=_shortcut_table(audit["shortcuts"]),
    )


def _differences(audit: Audit) -> Section:
    found = audit["files"]["split_differences"]
    return Section(
        key="split-differences",
        title="Splits that differ in more than patients",
        count=_count(len(found), "large difference"),
        outcome="reported",
        meaning="Splits drawn from one source agree in format, size and brightness. Where they do not, the test "
        "measures the change of source along with the disease. One value a group was compared; effects run from 0 to "
        "1.",
        found=bool(found),
        table=[("effect", "difference"), *((f"{item['effect']:.2f}", item["words"]) for item in found)]
        if found
        else (),
    )


def _imbalance(audit: Audit) -> Section:
    ratio = audit["imbalance"]["ratio"]
    labels = list(next(iter(audit["classes"].values())))
    whole = max(audit["images"].values()) == sum(audit["images"].values())
    rows = [
        ("all" if whole else split, *(str(counts[label]) for label in labels))
        for split, counts in audit["classes"].items()
    ]
    return Section(
        key="imbalance",
        title="Classes and splits",
        count="a class has no images" if ratio is None else f"largest class {ratio:g} times the smallest",
        outcome="reported; `training.class_weights` evens it out",
        meaning="Where classes differ much in size, accuracy rewards answering the commonest one. Balanced accuracy "
        "and recall by class do not.",
        found=ratio is None or ratio >= IMBALANCED,
        table=[("split", *labels), *(row for row in rows if any(count != "0" for count in row[1:]))],
    )


def _unreadable(audit: Audit) -> Section:
    files = audit["files"]["unreadable"]
    return Section(
        key="unreadable",
        title="Files left out",
        count=_count(len(files), "file"),
        outcome="left out",
        meaning="Files that cannot be decoded whole, or lie where no class could be told. If many are of one class, "
        "the data set is not what it was when others reported on it.",
        found=bool(files),
        items=[f"{item['path']}: {item['reason']}" for item in files],
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _left_out(audit: Audit, *reasons: str) -> str:
    """What the policy did or, where nothing was applied, what it would do."""
    verb = "left out" if audit["policy"]["applied"] else "to leave out"
    return f"{sum(audit['dropped'].get(reason, 0) for reason in reasons)} {verb}"


def _kept(audit: Audit) -> str:
    """What the configuration keeps of the copies of test images."""
    left = audit["policy"]["left_in_training"]
    named = [f"{left[name]} kept by `data_audit.{name}`" for name in ("copies", "near_copies") if left[name]]
    return "".join(f", {words}" for words in named) if audit["policy"]["applied"] else ""


def _sides(paths: Iterable[str], by_path: ByPath) -> tuple[list[str], list[str]]:
    """Paths of train and valid, and those of test."""
    paths = list(paths)
    tested = [path for path in paths if by_path[path].split == "test"]
    return [path for path in paths if path not in tested], tested


def _crosses(pair: CopyPair, by_path: ByPath) -> bool:
    return pair.kind == "near" and (by_path[pair.first].split == "test") != (by_path[pair.second].split == "test")


def _pair_line(pair: CopyPair) -> str:
    return f"{pair.first} ~ {pair.second} ({pair.correlation:.3f})"


def _blocks_by_labels(given: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """Which blocks, in words, give away the same classes, in words."""
    found: dict[str, list[str]] = {}
    for block, words in BLOCK_WORDS.items():
        if labels := [item["label"] for item in given if item["block"] == block]:
            found.setdefault(", ".join(labels), []).append(words)
    return found


def _shortcut_table(shortcuts: Mapping[str, Any]) -> list[tuple[str, ...]]:
    if not shortcuts:
        return []
    labels = [item["label"] for item in next(iter(shortcuts.values()))["classes"]]
    header = ("known to the forest", "balanced accuracy", "by chance", *(f"{label}, ROC-AUC" for label in labels))
    return [header] + [
        (
            BLOCK_WORDS[block],
            _interval(**measured["balanced_accuracy"]),
            f"{measured['chance']:.2f}",
            *(
                _interval(item["roc_auc"], item["low"], item["high"]) + " !" * item["flagged"]
                for item in measured["classes"]
            ),
        )
        for block, measured in shortcuts.items()
    ]


def _interval(value: float, low: float | None, high: float | None) -> str:
    """Without limits where too few draws held every class: with a handful of images."""
    return f"{value:.2f}" if low is None else f"{value:.2f} ({low:.2f}-{high:.2f})"
