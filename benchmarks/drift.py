"""How often `python main.py drift` alarms, with reason and without: `python benchmarks/drift.py <folder of images>`.

Real images and a committed model: features, probabilities and properties of training images (those of out_of_fold.csv,
at most `--each` of a group), as they are and as another scanner, window or organ would change them, are computed once
and kept in `--cache`. Then, `--splits` times: the groups are halved; one half becomes a training reference as
registration makes it, windows are drawn from the other: whole groups, as patients come, until there are enough images,
or image by image. No group is ever on both sides. Heads are fitted anew without the groups they are asked about
(logistic regression on the network's features, in the folds of out_of_fold.csv), since the committed one saw them.
"""

import argparse
import csv
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from cnnClassifier.corruptions import CORRUPTIONS, corrupt_file
from cnnClassifier.inference import Classifier
from cnnClassifier.monitoring.drift import LEVEL, Null, Window, compare, holm, measures
from cnnClassifier.monitoring.properties import measure
from cnnClassifier.monitoring.reference import TrainingReference, build_reference
from cnnClassifier.outliers import build_reference as build_gate
from cnnClassifier.outliers import distances, held_out_distances, quantile_above
from cnnClassifier.preprocessing import decode, prepare

ROOT = Path(__file__).resolve().parents[1]
SHIFTS = ("noise 3", "window 3")  # corruptions.py, with their strength
OTHERS = 20  # images of each other organ
REFUSED = 0.01  # as evaluation.refused
DRAWS = 1999  # of the null: enough for the level, in a fifth of the time


@dataclass(frozen=True)
class Seen:
    """What is known of n images; `folds` and `labels` of training images alone."""

    features: NDArray[np.float32]
    properties: NDArray[np.float64]
    groups: NDArray[np.str_]
    paths: NDArray[np.str_]


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="what the paths of out_of_fold.csv are relative to")
    parser.add_argument("--other", type=Path, nargs="*", default=[], help="folders of images of other organs")
    parser.add_argument("--model", type=Path, default=ROOT / "models/chest_ct")
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache/drift")
    parser.add_argument("--each", type=int, default=3, help="images of a group, at most")
    parser.add_argument("--shifts", nargs="*", default=SHIFTS, help='such as "blur 4"')
    parser.add_argument("--shifted", type=int, default=1, help="of those, so many under each shift")
    parser.add_argument("--sizes", type=int, nargs="*", default=[40, 80])
    parser.add_argument("--splits", type=int, default=200)
    asked = parser.parse_args()
    rows = _rows(asked.model, asked.each)
    seen = _look_at_all(asked, rows)
    _print_table(seen, rows, asked.sizes, asked.splits)


def _rows(model: Path, each: int) -> list[dict[str, str]]:
    """Training images, at most `each` of a group."""
    with (model / "out_of_fold.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    taken: Counter[str] = Counter()
    kept = []
    for row in np.random.default_rng(0).permutation(len(rows)):
        taken[rows[row]["group"]] += 1
        if taken[rows[row]["group"]] <= each:
            kept.append(rows[row])
    return kept


def _look_at_all(asked: argparse.Namespace, rows: Sequence[dict[str, str]]) -> dict[str, Seen]:
    classifier = Classifier.load(asked.model, asked.model.name, "benchmark")
    named = {corruption.name: corruption for corruption in CORRUPTIONS}
    taken: Counter[str] = Counter()
    some = []
    for row in rows:
        taken[row["group"]] += 1
        if taken[row["group"]] <= asked.shifted:
            some.append(row)
    jobs = {"as they are": [(asked.images / row["path"], row["group"], None) for row in rows]}
    for shift in asked.shifts:
        name, strength = shift.split()
        change = (named[name], named[name].values[int(strength) - 1])
        jobs[shift] = [(asked.images / row["path"], row["group"], change) for row in some]
    for folder in asked.other:
        files = sorted(
            file for file in folder.rglob("*") if file.suffix.lower() in (".png", ".jpg") and "_mask" not in file.name
        )
        jobs[OTHER + folder.name] = [(file, str(file), None) for file in files[:: max(1, len(files) // OTHERS)]]
    seen = {name: _look(name, job, classifier, asked) for name, job in jobs.items()}
    return {
        name: _joined(seen["as they are"], images) if name.startswith(OTHER) else images
        for name, images in seen.items()
    }


def _joined(own: Seen, others: Seen) -> Seen:
    """Our images and another organ's, of which each is its own group, by its path."""
    columns = ("features", "properties", "groups", "paths")
    return Seen(*(np.concatenate([getattr(own, name), getattr(others, name)]) for name in columns))


def _look(name: str, job: Sequence[tuple], classifier: Classifier, asked: argparse.Namespace) -> Seen:
    file = asked.cache / f"{name.replace(' ', '-').replace(':', '')}.npz"
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        features, properties = [], []
        for path, _, change in tqdm(job, desc=name, unit="image"):
            data = path.read_bytes()
            if change:
                data = corrupt_file(data, *change, hashlib.sha256(data).hexdigest())
            pixels = decode(data)
            properties.append(measure(pixels))
            features.append(
                classifier.features_of_pixels(prepare(pixels, classifier.spec.preprocessing)[np.newaxis])[0]
            )
        paths, groups = ([str(item[column]) for item in job] for column in (0, 1))
        np.savez(file, features=features, properties=properties, groups=groups, paths=paths)
    with np.load(file) as kept:
        return Seen(*(kept[name] for name in ("features", "properties", "groups", "paths")))


def _print_table(seen: dict[str, Seen], rows: Sequence[dict[str, str]], sizes: Sequence[int], splits: int) -> None:
    probabilities = _held_out(seen, rows)
    groups = np.unique(seen["as they are"].groups)
    alarmed: Counter[tuple[str, int]] = Counter()
    windows: Counter[tuple[str, int]] = Counter()
    named: dict[str, Counter[str]] = {}
    for split in tqdm(range(splits), unit="split"):
        random = np.random.default_rng(split)
        ours = set(random.permutation(groups)[: len(groups) // 2])
        reference, limit, gate = _reference(seen["as they are"], probabilities["as they are"], ours, split)
        for size in sizes:
            null = Null(reference, size, DRAWS, split)
            for kind, rows_of in _windows(seen, ours, size, random):
                job = kind.removesuffix(BY_IMAGE).removesuffix(TEXTBOOK)
                window = _window(seen[job], probabilities[job], rows_of, reference, limit, gate)
                if kind.endswith(TEXTBOOK):
                    found = ["textbook"] if _textbook(reference, window, limit) else []
                else:
                    found = [each.name for each in compare(reference, window, limit, null) if each.alarm]
                windows[kind, size] += 1
                alarmed[kind, size] += bool(found)
                named.setdefault(kind, Counter()).update(found)
    for (kind, size), count in sorted(windows.items()):
        share = alarmed[kind, size] / count
        low, high = stats.binomtest(alarmed[kind, size], count).proportion_ci(method="wilson")
        most = ", ".join(f"{name} {hits}" for name, hits in named[kind].most_common(4))
        print(f"| {kind} | {size} | {count} | {share:.1%} ({low:.1%}-{high:.1%}) | {most} |")  # noqa: T201


OTHER = "half of them "
BY_IMAGE, TEXTBOOK = ", image by image", ", textbook p-values"


def _windows(
    seen: dict[str, Seen], ours: set[str], size: int, random: np.random.Generator
) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """Rows of each kind of window, of groups that are not ours."""
    for job, images in seen.items():
        theirs = np.flatnonzero([group not in ours for group in images.groups])
        if job.startswith(OTHER):
            strangers = np.flatnonzero(
                [str(group) == str(path) for group, path in zip(images.groups, images.paths, strict=True)]
            )
            if len(strangers) < size // 2:
                continue
            own = _whole_groups(images.groups, np.setdiff1d(theirs, strangers), size - size // 2, random)
            whole = None if own is None else np.concatenate([own, random.choice(strangers, size // 2, replace=False)])
        else:
            whole = _whole_groups(images.groups, theirs, size, random)
        if whole is None:
            continue
        yield job, whole
        if job == "as they are":
            yield job + BY_IMAGE, random.choice(theirs, size, replace=False)
            yield job + TEXTBOOK, whole


def _whole_groups(
    groups: NDArray[np.str_], rows: NDArray[np.intp], size: int, random: np.random.Generator
) -> NDArray[np.intp] | None:
    """Rows of groups in a drawn order until there are `size`; None if there are not as many."""
    if len(rows) < size:
        return None
    order = {name: place for place, name in enumerate(random.permutation(np.unique(groups[rows])))}
    return rows[np.argsort([order[groups[row]] for row in rows], kind="stable")][:size]


def _reference(
    images: Seen, probabilities: NDArray[np.float64], ours: set[str], seed: int
) -> tuple[TrainingReference, float, object]:
    rows = np.flatnonzero([group in ours for group in images.groups])
    groups = [str(group) for group in images.groups[rows]]
    held_out = held_out_distances(images.features[rows], groups, seed)
    reference = build_reference(
        images.features[rows], groups, probabilities[rows], held_out, images.properties[rows], seed
    )
    return reference, quantile_above(held_out, REFUSED), build_gate(images.features[rows], groups, seed)


def _window(images: Seen, probabilities, rows, reference: TrainingReference, limit: float, gate) -> Window:
    far = distances(gate, images.features[rows])
    along = reference.axes.project(images.features[rows])
    return Window(probabilities[rows], far, along, images.properties[rows], far > limit)


def _textbook(reference: TrainingReference, window: Window, limit: float) -> bool:
    """Whether tests that take images for independent would alarm, on the same numbers with the same correction."""
    compared = [each for each in measures(reference, window, limit) if each.kind == "distance"]
    p_values = [stats.ks_2samp(each.reference, each.window).pvalue for each in compared]
    return min(holm(p_values)) <= LEVEL


def _held_out(seen: dict[str, Seen], rows: Sequence[dict[str, str]]) -> dict[str, NDArray[np.float64]]:
    """Probabilities by heads that did not learn from the image's fold of groups."""
    folds = np.array([int(row["fold"]) for row in rows])
    labels = np.array([row["label"] for row in rows])
    fold_of = {row["group"]: int(row["fold"]) for row in rows}
    own = seen["as they are"].features
    heads = {
        fold: make_pipeline(StandardScaler(), LogisticRegression(C=0.001, class_weight="balanced", max_iter=2000)).fit(
            own[folds != fold], labels[folds != fold]
        )
        for fold in np.unique(folds)
    }
    first = int(folds[0])
    found = {}
    for name, images in seen.items():
        of = np.array([fold_of.get(str(group), first) for group in images.groups])
        found[name] = np.stack(
            [heads[f].predict_proba(x[np.newaxis])[0] for f, x in zip(of, images.features, strict=True)]
        )
    return found


if __name__ == "__main__":
    main()
