"""What may be configured of the data: where images come from, how they are split, what the audit does."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, PositiveInt, model_validator

from cnnClassifier.config.section import Fraction, Section, Seed

Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = ("train", "valid", "test")


class PhantomFaults(Section):
    """How many faults of each kind the phantom plants on purpose; each is written in its truth table."""

    exact_copies: int = Field(default=0, ge=0)
    recropped_copies: int = Field(default=0, ge=0)
    label_conflicts: int = Field(default=0, ge=0)
    masks_among_images: int = Field(default=0, ge=0)
    unreadable: int = Field(default=0, ge=0)
    source_shortcut: bool = False


class PhantomSource(Section):
    """A procedural four-class chest CT, made from a seed in seconds."""

    kind: Literal["phantom"]
    seed: Seed = 0
    patients_per_class: int = Field(default=24, ge=3)
    slices_per_patient: PositiveInt = 4
    image_size: int = Field(default=256, ge=64, le=1024, validation_alias=AliasChoices("image_size", "size"))
    faults: PhantomFaults = PhantomFaults()


class KaggleSource(Section):
    """A Kaggle data set through kagglehub, with its version pinned so that the data cannot move."""

    kind: Literal["kaggle"]
    dataset: str = Field(pattern=r"^[^/]+/[^/]+/versions/\d+$")
    root: str = ""


class FolderSource(Section):
    """Class folders on disk, with or without split folders above them."""

    kind: Literal["folder"]
    path: Path


class ZipSource(Section):
    """A .zip of class folders; `root` is the folder inside it that holds them."""

    kind: Literal["zip"]
    path: Path
    root: str = ""


class Votes(Section):
    """Where a table says how many of `of` annotators chose each class: `columns`, by our class names.

    One class may lack a column: it has the rest.
    """

    columns: dict[str, str] = Field(min_length=1)
    of: PositiveInt


class CsvSource(Section):
    """A table of files and labels; file names are relative to `root`. `votes` is for `training.soft_labels`."""

    kind: Literal["csv"]
    table: Path
    root: Path
    file_column: str = "file"
    label_column: str = "label"
    split_column: str | None = None
    group_column: str | None = None
    votes: Votes | None = None


Source = Annotated[PhantomSource | KaggleSource | FolderSource | ZipSource | CsvSource, Field(discriminator="kind")]


class RandomSplit(Section):
    """Shares of the groups drawn for a split where the source has none; the rest is train."""

    valid: Fraction = 0.1
    test: Fraction = 0.2

    @model_validator(mode="after")
    def _leave_some_for_training(self) -> "RandomSplit":
        if self.valid + self.test >= 1:
            raise ValueError("valid + test must leave some images for training")
        return self


class DataIngestionConfig(Section):
    """Where images come from and which class each belongs to.

    `classes` maps our class name to patterns of the source's: a pattern without a slash is
    matched against the class folder (or CSV label), one with a slash against the whole path
    below the split folder. `splits` names the split folders (or CSV values), `valid` only where the
    source has it; null means the source has none and `random_split` draws them. `exclude` are patterns
    of names, or of paths below the source's root, of files and of folders with all that is in them.
    `group_pattern` is a regular expression whose first capture in a path names the patient or scan.
    """

    seed: Seed
    source: Source
    classes: dict[str, list[str]] = Field(min_length=2)
    splits: dict[Split, str] | None = None
    random_split: RandomSplit | None = None
    exclude: tuple[str, ...] = ()
    group_pattern: str | None = None

    @model_validator(mode="after")
    def _one_way_to_split(self) -> "DataIngestionConfig":
        if (self.splits is None) == (self.random_split is None):
            raise ValueError("give either `splits` (the source's own) or `random_split`, not both or neither")
        if self.splits is not None and not {"train", "test"} <= set(self.splits):
            raise ValueError("`splits` must name train and test")
        if self.random_split is not None and not self.random_split.test:
            raise ValueError("`random_split.test` must be above 0: evaluation needs a test split")
        return self

    @model_validator(mode="after")
    def _splits_lie_apart(self) -> "DataIngestionConfig":
        folders = sorted(f"{name.rstrip('/')}/" for name in (self.splits or {}).values())
        for outer, inner in pairwise(folders):
            if inner.startswith(outer):
                raise ValueError(f"`splits` must lie apart: {inner!r} is in {outer!r}, one image would have two splits")
        return self

    @model_validator(mode="after")
    def _table_has_the_splits(self) -> "DataIngestionConfig":
        if isinstance(self.source, CsvSource) and (self.source.split_column is None) != (self.splits is None):
            raise ValueError("a table needs both `source.split_column` and `splits` (what stands in it), or neither")
        return self

    @model_validator(mode="after")
    def _votes_are_of_the_classes(self) -> "DataIngestionConfig":
        votes = self.source.votes if isinstance(self.source, CsvSource) else None
        if votes and (strangers := sorted(votes.columns.keys() - self.classes.keys())):
            raise ValueError(f"`source.votes.columns` names {strangers[0]!r}, which is no class of `classes`")
        if votes and len(self.classes) - len(votes.columns) > 1:
            raise ValueError("`source.votes.columns`: only one class may lack a column, the one that has the rest")
        return self

    @model_validator(mode="after")
    def _group_pattern_captures(self) -> "DataIngestionConfig":
        try:
            groups = re.compile(self.group_pattern or "()").groups
        except re.error as error:
            raise ValueError(f"`group_pattern` is no regular expression: {error}") from None
        if not groups:
            raise ValueError("`group_pattern` needs a capture, as in p(\\d+)_: what it captures names the group")
        return self

    @property
    def filled_splits(self) -> tuple[Split, ...]:
        """The splits that must have images of every class."""
        if self.splits is not None:
            return tuple(split for split in SPLITS if split in self.splits)
        drawn_valid = self.random_split is not None and self.random_split.valid > 0
        return SPLITS if drawn_valid else ("train", "test")


Policy = Literal["drop", "keep", "fail"]


class DataAuditConfig(Section):
    """When two pictures are one, when they are of one patient, and what to do with what is found.

    Both are correlations of fine detail after aligning the pictures (audit/alignment.py): from `near_copy` on they
    are one picture saved twice, from `same_patient` on one patient's (only asked of images whose group no
    metadata names). docs/audit.md says how to choose them.

    Policies, each "drop", "keep" (only report) or "fail" (stop the pipeline): `copies` for equal pixels and
    `near_copies` for one picture saved twice ("drop" removes training images that also occur in test, and all but
    one of a set within train+valid), `conflicts` for one picture under two labels ("drop" removes all of it
    from train+valid), `masks` for segmentation masks and blank pictures. A test split that the source publishes is
    never changed; from one that `random_split` draws, masks are dropped, too.
    """

    seed: Seed = 0
    near_copy: float = Field(default=0.95, gt=0, le=1)
    same_patient: float = Field(default=0.75, ge=0.5, le=1)
    copies: Policy = "drop"
    near_copies: Policy = "drop"
    conflicts: Policy = "drop"
    masks: Policy = "drop"
