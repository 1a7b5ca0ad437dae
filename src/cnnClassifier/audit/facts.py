"""What can be said of each image without understanding it: file, border, grey levels, and a perceptual hash.

Three blocks of facts are where a label may hide without any anatomy (`shortcuts`); a fourth, `picture`, tells
masks and blank pictures from scans (`suspects`) and one split from another (`splits`).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn

from cnnClassifier.batching import map_in_threads
from cnnClassifier.datasets.manifest import ImageRecord
from cnnClassifier.errors import DataError, ImageError
from cnnClassifier.files import new_file
from cnnClassifier.preprocessing import Pixels, decode, is_deep, resize, stretch_contrast, to_grey

FRAME = 2  # pixels: width of the border that is looked at
BINS = 16  # of the grey histogram
SIDES = ("frame", "top", "bottom", "left", "right")
BORDER_FACTS = ("mean", "std", "least", "greatest", "black", "white")
NAMES = (
    *(f"border.{side}_{fact}" for side in SIDES for fact in BORDER_FACTS),
    *(f"histogram.{bin_}" for bin_ in range(BINS)),
    *(f"picture.{fact}" for fact in ("brightness", "contrast", "spread", "plain", "flat")),
)

PLAIN_LEVELS, PLAIN_WIDTH = 4, 4  # a mask has about four values, each a few grey levels wide after JPEG
FLAT_STEP = 4  # grey levels to the next pixel that still count as flat
TAILS = (0.05, 99.95)  # percentiles between which a blank picture has no contrast
DEEP_RANGE = 1.0  # grey levels (257 steps of 16 bits) that a deep picture's tails lie apart, if it is not blank


@dataclass(frozen=True)
class Facts:
    """Facts of n images: `ids` (n,), `names` of m facts as "block.fact", `values` float32 (n, m), `phash` uint64 (n,).

    `phash` is the 64-bit perceptual hash of Zauner 2010: the signs, about their median, of the 8 x 8 lowest cosine
    frequencies of the picture at 32 x 32. Few bits differ between copies of one picture.
    """

    ids: NDArray[np.str_]
    names: tuple[str, ...]
    values: NDArray[np.float32]
    phash: NDArray[np.uint64]

    def block(self, name: str) -> NDArray[np.float32]:
        """The facts of one block (file, border, histogram, picture), float32 (n, facts)."""
        return self.values[:, [fact.startswith(f"{name}.") for fact in self.names]]

    def fact(self, name: str) -> NDArray[np.float32]:
        """One fact, by its whole name, float32 (n,)."""
        return self.values[:, self.names.index(name)]

    def of(self, records: Sequence[ImageRecord]) -> "Facts":
        """The facts of these records, in their order; DataError for one that has none."""
        row = {str(name): index for index, name in enumerate(self.ids)}
        if missing := next((record.path for record in records if record.id not in row), None):
            raise DataError(f"{missing}: no facts of this image; run `python main.py data_audit` again")
        rows = [row[record.id] for record in records]
        return Facts(self.ids[rows], self.names, self.values[rows], self.phash[rows])


def gather_facts(records: Sequence[ImageRecord], images: Path, workers: int | None = None) -> Facts:
    """Look at every image once, in threads, with progress; facts in the records' order.

    Raises DataError naming a file that is gone, can no longer be decoded, or is not the one that the record is of.
    """
    file_names, file_values = describe_files(records)
    looked_at = list(
        map_in_threads(lambda record: _look_at_file(record, images), records, "look at images", workers=workers)
    )
    seen = np.array([values for values, _ in looked_at], dtype=np.float32).reshape(len(records), len(NAMES))
    return Facts(
        ids=np.array([record.id for record in records], dtype=np.str_),
        names=(*file_names, *NAMES),
        values=np.hstack([file_values, seen]),
        phash=np.array([phash for _, phash in looked_at], dtype=np.uint64),
    )


def describe_files(records: Sequence[ImageRecord]) -> tuple[list[str], NDArray[np.float32]]:
    """Names and values (n, facts) of what the manifest alone says: format and mode one column each, sizes, bytes."""
    columns = {
        f"file.{field}_{kind}": np.array([getattr(record, field) == kind for record in records])
        for field in ("format", "mode")
        for kind in sorted({getattr(record, field) for record in records})
    }
    width, height, size = (
        np.array([getattr(record, name) for record in records], float) for name in ("width", "height", "bytes")
    )
    columns |= {
        "file.width": width,
        "file.height": height,
        "file.aspect": width / height,
        "file.log_bytes": np.log(size),
        "file.bits_per_pixel": 8 * size / (width * height),
    }
    return list(columns), np.stack([column.astype(np.float32) for column in columns.values()], axis=1)


def look_at(pixels: Pixels, deep: bool = False) -> tuple[list[float], int]:
    """Facts `NAMES` and perceptual hash of a decoded picture, float32 0-255, shape (height, width, 1 or 3).

    A `deep` one, of 16 bits, is seen in the range that it uses: twelve bits are often all there is in such a file,
    a sixteenth of what it could say.
    """
    grey = to_grey(pixels)
    if deep and np.ptp(np.percentile(grey, TAILS)) >= DEEP_RANGE:
        grey = stretch_contrast(grey, *TAILS)
    levels = np.rint(grey[..., 0]).clip(0, 255).astype(np.uint8)
    shares = np.bincount(levels.ravel(), minlength=256) / levels.size
    low, high = np.percentile(levels, TAILS)
    facts = [
        *(fact for side in _sides(levels) for fact in _describe_side(side)),
        *shares.reshape(BINS, -1).sum(axis=1),
        levels.mean(), levels.std(), high - low, plain_share(shares), flat_share(levels),
    ]  # fmt: skip
    return [float(fact) for fact in facts], perceptual_hash(grey)


def plain_share(shares: NDArray[np.float64]) -> float:
    """Share of the pixels at one of the few commonest grey levels, or next to it; `shares` (256,) sum to 1."""
    rest, plain = shares.copy(), 0.0
    for _ in range(PLAIN_LEVELS):
        peak = int(rest.argmax())
        around = slice(max(0, peak - PLAIN_WIDTH), peak + PLAIN_WIDTH + 1)
        plain += rest[around].sum()
        rest[around] = 0
    return float(plain)


def flat_share(levels: NDArray[np.uint8]) -> float:
    """Share of the pixels that hardly differ from their neighbours to the right and below."""
    if min(levels.shape) < 2:
        return 1.0
    signed = levels.astype(np.int16)
    across, down = np.abs(np.diff(signed, axis=1))[:-1], np.abs(np.diff(signed, axis=0))[:, :-1]
    return float(((across <= FLAT_STEP) & (down <= FLAT_STEP)).mean())


def perceptual_hash(grey: Pixels) -> int:
    """64 bits as in Zauner 2010; `grey` has shape (height, width, 1). Flat pictures all have the same hash."""
    low = dctn(resize(grey, 32, "lanczos")[..., 0], norm="ortho")[:8, :8].ravel()
    # Rounded: what is zero but for the last bits must not differ from machine to machine.
    low = np.round(low, 2)
    return int.from_bytes(np.packbits(low > np.median(low[1:])).tobytes(), "big")


def save_facts(facts: Facts, path: Path) -> None:
    """Write facts as .npz, without pickles."""
    with new_file(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, ids=facts.ids, names=np.array(facts.names), values=facts.values, phash=facts.phash)


def load_facts(path: Path) -> Facts:
    """Read facts; DataError when the file is missing or something else."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            names = tuple(str(name) for name in stored["names"])
            return Facts(stored["ids"], names, stored["values"], stored["phash"])
    except FileNotFoundError:
        raise DataError(f"{path}: no facts of the images; run `python main.py data_audit` first") from None
    except (KeyError, ValueError, OSError) as error:
        raise DataError(f"{path}: not a file of facts: {error}; run `python main.py data_audit` again") from None


def _look_at_file(record: ImageRecord, images: Path) -> tuple[list[float], int]:
    file = images / record.path
    try:
        data = file.read_bytes()
        seen = look_at(decode(data), is_deep(record.mode, record.format))
    except (OSError, ImageError) as error:
        raise DataError(f"{file}: could be read before, but no longer: {error}; run data_ingestion again") from None
    if hashlib.sha256(data).hexdigest() != record.sha256:
        raise DataError(f"{file}: is no longer the file that was described before; run data_ingestion again")
    return seen


def _sides(levels: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """The whole frame, then top, bottom, left and right of it, each as a flat array."""
    sides = [levels[:FRAME], levels[-FRAME:], levels[:, :FRAME], levels[:, -FRAME:]]
    flat = [side.ravel() for side in sides]
    return [np.concatenate(flat), *flat]


def _describe_side(side: NDArray[np.uint8]) -> list[float]:
    return [side.mean(), side.std(), side.min(), side.max(), (side == 0).mean(), (side == 255).mean()]
