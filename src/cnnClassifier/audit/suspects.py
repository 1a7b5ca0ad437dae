"""Pictures that are no scans: segmentation masks and blank pictures, by facts alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cnnClassifier.audit.facts import Facts
from cnnClassifier.datasets.manifest import ImageRecord

# Measured: of 1000 chest CT, 36 ultrasound and 140 brain images none has more than .89 of its pixels at four levels;
# with contrast clipped at the 10th and 90th percentile (every fourth chest CT) none has more than .91. Masks have .95
# and more, resized or saved as JPEG, too. A scan clipped harder may, but then it mostly is not flat (docs/audit.md).
MASK_PLAIN = 0.95
MASK_FLAT = 0.9
BLANK_SPREAD = 16  # grey levels between nearly the darkest and nearly the brightest pixel

SuspectKind = Literal["mask", "blank"]


@dataclass(frozen=True)
class Suspect:
    """A file that is probably no scan, and what it looks like instead."""

    path: str
    kind: SuspectKind


def find_suspects(records: Sequence[ImageRecord], facts: Facts) -> list[Suspect]:
    """Masks and blank pictures among the records, in path order; `facts` in the records' order."""
    spread, plain, flat = (facts.fact(f"picture.{name}") for name in ("spread", "plain", "flat"))
    blank = spread < BLANK_SPREAD
    mask = ~blank & (plain >= MASK_PLAIN) & (flat >= MASK_FLAT)
    found = [Suspect(record.path, "blank") for record, is_blank in zip(records, blank, strict=True) if is_blank]
    found += [Suspect(record.path, "mask") for record, is_mask in zip(records, mask, strict=True) if is_mask]
    return sorted(found, key=lambda suspect: suspect.path)
