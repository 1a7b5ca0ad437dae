"""How near-copy search grows with the number of images: `python benchmarks/near_copies.py [--images 100000]`.

Descriptors are drawn: patients of some twenty slices, each slice a step from the last one. Measured against exact
search of all pairs in the same run, so that the ratio says something on any machine. Then real alignments of drawn
pictures, and what they would come to.
"""

import argparse
import os
import resource
import time
from collections.abc import Callable
from typing import Any

import cv2
import faiss
import numpy as np
from numpy.typing import NDArray

from cnnClassifier.audit.alignment import detail_correlation
from cnnClassifier.audit.descriptor import LENGTH, SIDE, Sketches, compact
from cnnClassifier.audit.near_copies import NEIGHBOURS, propose
from cnnClassifier.audit.neighbours import nearest

Floats = NDArray[np.float32]

SLICES, STEP, NOISE = 20, 0.25, 0.15  # of the size of a patient's own descriptor
SAMPLE = 2000  # images whose true neighbours are looked up
PAIRS = 400  # alignments that are timed
BATCH = 8192  # queries of the exact search


def main() -> None:
    """Print a line for 1,000, 10,000 ... images, then what aligning costs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    most = parser.parse_args().images
    print(f"{os.cpu_count()} cores, {faiss.omp_get_max_threads()} threads, {NEIGHBOURS} neighbours an image")  # noqa: T201
    print(  # noqa: T201
        "| images | approximate, s | exact, s | approximate / exact | true neighbours found | all searches, s |"
        " pairs to align an image | peak memory, MB |\n|---|---|---|---|---|---|---|---|"
    )
    measure(500)  # the first calls load libraries and start threads
    pairs = 0.0
    for count in [size for size in (1000, 10_000, 100_000) if size < most] + [most]:
        row, pairs = measure(count)
        print(row, flush=True)  # noqa: T201
    alike, unlike = time_alignment(related=True), time_alignment(related=False)
    minutes = sorted(most * pairs * milliseconds / 60_000 / (os.cpu_count() or 1) for milliseconds in (unlike, alike))
    print(  # noqa: T201
        f"aligning: {alike:.1f} ms a pair of one patient, {unlike:.1f} ms a pair of two (one thread); {most:,} images "
        f"at {pairs:.1f} pairs each: {minutes[0]:.0f} to {minutes[1]:.0f} minutes on all cores"
    )


def measure(count: int) -> tuple[str, float]:
    """A row of the table for so many images, and the pairs to align for each of them."""
    draw = np.random.default_rng(count)
    body = draw_descriptors(count, draw)
    seconds, (unit, rows) = timed(lambda: search(body))
    others = [draw_descriptors(count, draw) for _ in range(2)]
    sketches = Sketches(np.empty((count, 0, 0), np.uint8), body, *others)
    hashes = draw.integers(0, 256, (count, 8), dtype=np.uint8)
    in_all, proposed = timed(lambda: propose(sketches, hashes))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    exact, true = timed(lambda: search_exactly(unit))
    asked = draw.choice(count, min(SAMPLE, count), replace=False)
    found = sum(len(set(rows[row]) & set(true[row])) for row in asked) / (len(asked) * rows.shape[1])
    pairs = len(proposed) / count
    return (
        f"| {count:,} | {seconds:.1f} | {exact:.1f} | {seconds / exact:.2f} | {found:.4f} | {in_all:.1f} | {pairs:.1f} "
        f"| {memory:,.0f} |"
    ), pairs


def draw_descriptors(count: int, draw: np.random.Generator) -> Floats:
    """Descriptors of slices in the order of patients, (count, LENGTH), of as many dimensions as real ones."""
    patients = -(-count // SLICES)
    spectrum = 1 / np.sqrt(np.arange(1, LENGTH + 1))
    first = draw.normal(size=(patients, 1, LENGTH))
    steps = STEP * draw.normal(size=(patients, SLICES, LENGTH)).cumsum(axis=1) / np.sqrt(SLICES)
    slices = (first + steps + NOISE * draw.normal(size=steps.shape)) * spectrum
    descriptors: Floats = slices.reshape(-1, LENGTH)[:count].astype(np.float32)
    return descriptors


def search(descriptors: Floats) -> tuple[Floats, NDArray[Any]]:
    """What the audit does: compact descriptors and the rows of their nearest ones."""
    (unit,) = compact(descriptors)
    return unit, nearest(unit, unit, NEIGHBOURS + 1)[0]


def search_exactly(unit: Floats) -> NDArray[Any]:
    """The same by comparing all pairs."""
    index = faiss.IndexFlatIP(unit.shape[1])
    index.add(unit)
    return np.concatenate(
        [index.search(unit[start : start + BATCH], NEIGHBOURS + 1)[1] for start in range(0, len(unit), BATCH)]
    )


def time_alignment(related: bool) -> float:
    """Milliseconds an alignment of two drawn pictures takes on one thread: one picture moved, or two pictures."""
    draw = np.random.default_rng(1)
    pictures = [draw_picture(draw) for _ in range(20)]
    warp = np.array([[1.05, 0.02, -3], [-0.02, 0.98, 2]])
    moved = [cv2.warpAffine(picture, warp, (SIDE, SIDE)) for picture in pictures]
    pairs = [(number % 20, (number if related else number * 7 + 1) % 20) for number in range(PAIRS)]
    seconds, _ = timed(lambda: [detail_correlation(pictures[one], moved[other]) for one, other in pairs])
    return 1000 * seconds / PAIRS


def draw_picture(draw: np.random.Generator) -> NDArray[np.uint8]:
    """A bright body with texture of several scales, (SIDE, SIDE)."""
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    body = np.hypot(rows / draw.uniform(40, 55), columns / draw.uniform(50, 62)) < 1
    texture = sum(cv2.GaussianBlur(draw.normal(size=(SIDE, SIDE)), (0, 0), sigma) * sigma * 60 for sigma in (1, 3, 8))
    return np.clip(body * (150 + texture), 0, 255).astype(np.uint8)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what came of it."""
    started = time.perf_counter()
    outcome = work()
    return time.perf_counter() - started, outcome


if __name__ == "__main__":
    main()
