"""The audit in words: one sentence on what the test split is worth, and what to do next."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

IMBALANCED = 3.0  # images of the largest class for each one of the smallest: from here on accuracy misleads
BLOCK_WORDS = {
    "file": "the file (format, mode, size)",
    "border": "the border",
    "histogram": "the grey levels",
}

GROUPED = (
    "Believe grouped cross-validation (`grouped_cv`) before the test split, and `deduplicated` before `published`, "
    "which only serves to compare with others."
)
REDRAWN = (
    "Draw the splits anew, groups kept together (`pairs.csv` and `audit.json` name the copies), or at least leave the "
    "copies of test images out of training and say so beside every score."
)
SHORTCUT = (
    "Compare every model with the shortcut control. To be rid of a shortcut, take the marked class from the same "
    "source as the others: converting all files to one format and size removes only part of it."
)
CONFLICTS = "Let someone who can read these images decide the disputed labels; until then leave them out of training."
SUSPECTS = (
    "Look at the masks and blank pictures and keep them out of every split (here: `data_ingestion.exclude`, for the "
    "policy takes none out of a test split that the source publishes)."
)
UNREADABLE = "Fetch the unreadable files again; until then they are left out."
DIFFERENCES = (
    "Find out why the splits differ: if the test images come from elsewhere, the score mixes disease and source."
)
IMBALANCE = "Read balanced accuracy and recall by class before accuracy: the classes differ much in size."
NOTHING = "Nothing was found that a person would have to act on."


def verdict(audit: Mapping[str, Any], published: bool = True) -> str:
    """One sentence on an audit as `summarise` gives it; `published` says that the splits are the source's own."""
    images, shared, kin = audit["images"], audit["across_test"], audit["groups"]["test_images_of_training_groups"]
    split = "The published test split" if published else "The test split"
    if not images["test"] or images["test"] == sum(images.values()):
        return _of_one_part(audit)
    if shared["images"]:
        return (
            f"{split} shares {shared['images']} of {images['test']} images with training ({shared['exact']} pixel for "
            f"pixel, {shared['near']} cropped or windowed otherwise){_still_trained(audit)}; expect its accuracy to "
            "overstate what new patients would see."
        )
    if kin:
        return (
            f"{split} holds no copy of a training image, but {kin} of its {images['test']} images are probably of "
            "patients who are in training, too; expect its accuracy to overstate what new patients would see."
        )
    return f"{split} holds no copy of a training image{_but(audit)}."


def next_steps(audit: Mapping[str, Any]) -> list[str]:
    """What a person should do about the findings, the most important first."""
    shared = audit["across_test"]["images"] or audit["groups"]["test_images_of_training_groups"]
    ratio = audit["imbalance"]["ratio"]
    steps = [
        (shared, GROUPED if audit["policy"]["applied"] else REDRAWN),
        (audit["files"]["given_away"], SHORTCUT),
        (audit["label_conflicts"]["sets"], CONFLICTS),
        (audit["files"]["suspects"], SUSPECTS),
        (audit["unreadable"], UNREADABLE),
        (audit["files"]["split_differences"], DIFFERENCES),
        (ratio is None or ratio >= IMBALANCED, IMBALANCE),
    ]
    return [words for due, words in steps if due] or [NOTHING]


def _still_trained(audit: Mapping[str, Any]) -> str:
    """How many copies of test images the configuration keeps in training."""
    left = audit["policy"]["left_in_training"]
    kept = left["copies"] + left["near_copies"]
    if not kept or not audit["policy"]["applied"]:
        return ""
    return f"; the configuration keeps {kept} training image{' that shows' if kept == 1 else 's that show'} them"


def _of_one_part(audit: Mapping[str, Any]) -> str:
    """For a folder without splits, or with nothing but one side of them."""
    total, spare = sum(audit["images"].values()), audit["exact_copies"]["redundant_images"]
    found = [
        (spare, "is an exact copy of another", "are exact copies of others"),
        (audit["near_copies"]["images"], "has a near copy", "have a near copy"),
        (len(audit["files"]["suspects"]), "is a mask or a blank picture", "are masks or blank pictures"),
    ]
    words = [f"{count} {one if count == 1 else many}" for count, one, many in found if count]
    if words:
        return (
            f"Of {total} images {', '.join(words[:-1])}{' and ' * (len(words) > 1)}{words[-1]}; there is no test split "
            "yet: draw one by groups, or it will share patients with training."
        )
    return f"No copies among {total} images, and no test split to compare with training{_but(audit)}."


def _but(audit: Mapping[str, Any]) -> str:
    """What else keeps a score from being believed, if anything does."""
    doubts = [*_shortcut(audit["files"]["given_away"]), *_masks(len(audit["files"]["suspects"]))]
    return f", but {'; and '.join(doubts)}" if doubts else ""


def _shortcut(given: Sequence[Mapping[str, str]]) -> Iterator[str]:
    if given:
        labels = ", ".join(sorted({item["label"] for item in given}))
        blocks = " or ".join(
            words for block, words in BLOCK_WORDS.items() if block in {item["block"] for item in given}
        )
        yield f"{labels} can be told from {blocks} alone: a high score may have nothing to do with the disease"


def _masks(suspects: int) -> Iterator[str]:
    if suspects:
        yield f"masks or blank pictures are among the scans: {suspects} files"
