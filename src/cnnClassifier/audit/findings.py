"""All that an audit found, in one value: what the summary counts, the report shows and the policy is checked on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from cnnClassifier.audit.copies import Copies, gather_copies
from cnnClassifier.audit.pairs import CopyPair
from cnnClassifier.audit.policy import Kept
from cnnClassifier.audit.shortcuts import Shortcut
from cnnClassifier.audit.splits import Difference
from cnnClassifier.audit.suspects import Suspect
from cnnClassifier.config.data import DataAuditConfig
from cnnClassifier.datasets.manifest import ImageRecord, RejectedFile


@dataclass(frozen=True)
class Findings:
    """All that an audit found. `records` carry their final groups.

    `published`: the splits are the source's own. `grouping` says how groups were made, for the report: any of
    `how` (a sentence), `threshold`, and `by_threshold` (a row a threshold, which comes first in it). `config` is what
    was asked for; `applied` says that training gets `kept`, not `records` (for a folder `kept` is only advice).
    """

    records: Sequence[ImageRecord]
    kept: Kept
    pairs: Sequence[CopyPair]
    suspects: Sequence[Suspect]
    shortcuts: Sequence[Shortcut]
    differences: Sequence[Difference]
    rejected: Sequence[RejectedFile] = ()
    published: bool = True
    grouping: Mapping[str, Any] = field(default_factory=dict)
    config: DataAuditConfig = field(default_factory=DataAuditConfig)
    applied: bool = True

    @cached_property
    def copies(self) -> Copies:
        """Who is a copy of whom, among all records."""
        return gather_copies(self.records, self.pairs)
