"""The pointing game on the phantom: does the peak of a map lie in the lesion? `python benchmarks/pointing.py`.

Trains config/experiments/phantom.yaml, or takes a finished run of it (`--project FOLDER`), and looks at the map of the
class that is answered, for every cancer of the test images that is classified correctly. Guesses to beat: the middle of
the lungs, the one point of the body's box that hits most lesions of training images, and any point of the body.
`--out-of-fold` plays on the training images instead, each explained by a head that saw no image of its patient: that is
what settings were chosen by. `--new-patients SEED` plays on a whole phantom of another seed.
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from cnnClassifier.attribution import Maps, class_maps, typical_maps
from cnnClassifier.batching import batches
from cnnClassifier.components.data_audit import DataAudit
from cnnClassifier.components.data_ingestion import DataIngestion
from cnnClassifier.components.prepare_base_model import PrepareBaseModel
from cnnClassifier.components.training import Training
from cnnClassifier.config.data import PhantomFaults
from cnnClassifier.config.loading import experiment_file, load_project, load_settings
from cnnClassifier.config.network import PreprocessingSpec
from cnnClassifier.config.types import Paths, Settings
from cnnClassifier.datasets.manifest import ImageRecord, read_manifest, write_manifest
from cnnClassifier.features.network import open_features
from cnnClassifier.folds import deal_folds
from cnnClassifier.heatmap import Box, peak, relevance
from cnnClassifier.model_spec import ModelSpec
from cnnClassifier.modeling import cut, load_model
from cnnClassifier.preprocessing import BODY_THRESHOLD, decode, kept_box, preprocess, to_grey
from cnnClassifier.recipe import Recipe

BATCH = 16
LUCKY = 25  # points a side of the body's box, of which the luckiest is taken
Place = tuple[float, float]


@dataclass(frozen=True)
class Case:
    """An image whose lesion is known: masks in pixels of the original, and the box of it that the network sees."""

    record: ImageRecord
    lesion: NDArray[np.bool_]
    body: NDArray[np.bool_]
    lungs: NDArray[np.bool_]
    box: Box


@dataclass(frozen=True)
class Turn:
    """What a map and each guess hit of one lesion: 1 or 0, for random points the share of them."""

    label: str
    map: float
    map_near: float
    lungs: float
    lungs_near: float
    lucky: float
    lucky_near: float
    random: float
    random_near: float


def main() -> None:
    """Train unless there is a finished run, play, print a row a class."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=experiment_file("phantom"), help="another recipe")
    parser.add_argument("--project", type=Path, help="a folder in which that was run")
    parser.add_argument("--out-of-fold", action="store_true", help="on training images, with heads of other folds")
    parser.add_argument("--new-patients", type=int, metavar="SEED", help="on a phantom of this seed")
    arguments = parser.parse_args()
    settings = load_settings(arguments.params)
    with tempfile.TemporaryDirectory() as scratch:
        paths = paths_below(arguments.project or Path(scratch, "project"))
        if arguments.project is None:
            train(settings, paths)
        if arguments.out_of_fold:
            report(*play_out_of_fold(settings, paths))
        elif arguments.new_patients is None:
            report(*play_on(paths, paths))
        else:
            others = draw_others(settings, arguments.new_patients, paths_below(Path(scratch, "others")))
            report(*play_on(others, paths))


def paths_below(folder: Path) -> Paths:
    """The paths of a project in another folder."""
    paths = load_project(Path("config/config.yaml")).paths.model_dump()
    return Paths(**{name: folder / path for name, path in paths.items()})


def train(settings: Settings, paths: Paths) -> None:
    """The stages up to the trained model."""
    DataIngestion(settings.data_ingestion, paths).run()
    DataAudit(settings.data_audit, paths).run()
    PrepareBaseModel(settings.prepare_base_model, paths).run()
    Training(settings.training, paths).run()


def draw_others(settings: Settings, seed: int, paths: Paths) -> Paths:
    """A phantom of another seed without faults; all its images are for testing."""
    source = settings.data_ingestion.source.model_copy(update={"seed": seed, "faults": PhantomFaults()})
    DataIngestion(settings.data_ingestion.model_copy(update={"source": source}), paths).run()
    records = [replace(record, split="test") for record in read_manifest(paths.manifest)]
    write_manifest(records, paths.audited_manifest)
    return paths


def play_on(tested: Paths, paths: Paths) -> tuple[list[Turn], int]:
    """Turns of the test images' cancers that the model of `paths` answers correctly, and how many cancers there are."""
    model, spec = load_model(paths.model)
    training = [record for record in read_manifest(paths.audited_manifest) if record.split != "test"]
    test = [record for record in read_manifest(tested.audited_manifest) if record.split == "test"]
    cases = with_lesion(test, tested, spec.preprocessing)
    lucky = luckiest(with_lesion(training, paths, spec.preprocessing))
    return explain(model, spec, typical_of(model, spec, training, paths), cases, tested, lucky), len(cases)


def play_out_of_fold(settings: Settings, paths: Paths) -> tuple[list[Turn], int]:
    """The same for training images, each by a head that was fitted on the other folds."""
    model, spec = load_model(paths.base_model)
    records = [record for record in read_manifest(paths.audited_manifest) if record.split != "test"]
    fold = deal_folds(records, settings.training.folds, settings.training.seed)
    parts = cut(model, spec.freeze)
    recipe = Recipe(parts.tail, open_features(parts, spec, paths), spec, settings.training)
    epochs = best_epoch(paths.history)
    turns, count = [], 0
    for number in range(settings.training.folds):
        rest = [record for record, its in zip(records, fold, strict=True) if its != number]
        held_out = [record for record, its in zip(records, fold, strict=True) if its == number]
        with tempfile.TemporaryDirectory() as checkpoints:
            recipe.fit_for(rest, epochs, Path(checkpoints) / "fold.npz")
        cases = with_lesion(held_out, paths, spec.preprocessing)
        lucky = luckiest(with_lesion(rest, paths, spec.preprocessing))
        turns += explain(model, spec, typical_of(model, spec, rest, paths), cases, paths, lucky)
        count += len(cases)
    return turns, count


def best_epoch(history: Path) -> int:
    """For how many epochs training fitted: those up to the least validation loss."""
    rows = np.genfromtxt(history, delimiter=",", names=True)
    return int(rows["val_loss"].argmin()) + 1


def typical_of(model: Any, spec: ModelSpec, training: Sequence[ImageRecord], paths: Paths) -> Maps:
    """Of 128 training images or more; registration takes 64, which makes no difference (docs/explain.md)."""
    return typical_maps(model, pixels_of(training[:: max(1, len(training) // 128)], paths, spec.preprocessing))


def explain(
    model: Any, spec: ModelSpec, typical: Maps, cases: Sequence[Case], paths: Paths, lucky: Place
) -> list[Turn]:
    """A turn for each case that the model classifies correctly."""
    answer = keras.Model(model.input, [model.output, class_maps(model, typical)])
    logits, maps = [], []
    for batch in pixels_of([case.record for case in cases], paths, spec.preprocessing):
        for kept, output in zip((logits, maps), answer(batch, training=False), strict=True):
            kept.append(output.numpy())
    answers = np.concatenate(logits).argmax(axis=1)
    return [
        take_turn(case, class_maps_of_one[answered], lucky)
        for case, answered, class_maps_of_one in zip(cases, answers, np.concatenate(maps), strict=True)
        if spec.classes[answered] == case.record.label
    ]


def pixels_of(records: Sequence[ImageRecord], paths: Paths, spec: PreprocessingSpec) -> Iterator[NDArray[np.float32]]:
    """The network's input in batches."""
    for batch in batches(records, BATCH):
        yield np.stack([preprocess((paths.images / record.path).read_bytes(), spec) for record in batch])


# --- the lesions ----------------------------------------------------------------------------


def with_lesion(records: Sequence[ImageRecord], paths: Paths, spec: PreprocessingSpec) -> list[Case]:
    """Those records that have a mask with something in it."""
    found = []
    for record in records:
        mask = paths.lesion_masks / record.path
        if mask.is_file() and (lesion := read_mask(mask)).any():
            pixels = decode((paths.images / record.path).read_bytes())
            body, lungs = outline(to_grey(pixels)[..., 0])
            found.append(Case(record, lesion, body, lungs, kept_box(pixels, spec)))
    return found


def read_mask(file: Path) -> NDArray[np.bool_]:
    """Where a mask is white."""
    with Image.open(file) as image:
        return np.asarray(image.convert("L")) > 127


def outline(grey: NDArray[np.float32]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The largest bright component with its holes, and the holes: the body, and the air in it."""
    bright = grey > BODY_THRESHOLD * np.percentile(grey, 99)
    components, _ = ndimage.label(bright)
    largest = components == np.bincount(components.ravel())[1:].argmax() + 1
    body = ndimage.binary_fill_holes(largest)
    return body, ndimage.binary_opening(body & ~bright, iterations=2)


# --- the game -------------------------------------------------------------------------------


def take_turn(case: Case, class_map: NDArray[np.float32], lucky: Place) -> Turn:
    """What the peak and the guesses hit. Near: the map's cell around the place touches the lesion."""
    near = widened(case, class_map.shape)
    points = peak(relevance(class_map), case.box), middle(case.lungs), at(lucky, case.box)
    hits = [float(mask[point]) if point else 0.0 for point in points for mask in (case.lesion, near)]
    random = [float(mask[case.body].mean()) for mask in (case.lesion, near)]
    return Turn(case.record.label, *hits, *random)


def widened(case: Case, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The lesion and what is within half a cell of the map of it, along rows and columns."""
    top, bottom, left, right = case.box
    reach = [int((bottom - top) / shape[0] / 2), int((right - left) / shape[1] / 2)]
    widened: NDArray[np.bool_] = ndimage.binary_dilation(case.lesion, np.ones([2 * each + 1 for each in reach]))
    return widened


def middle(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """The mean place of a mask; of the whole picture where it is empty."""
    rows, columns = np.nonzero(mask if mask.any() else np.ones_like(mask))
    return int(rows.mean()), int(columns.mean())


def at(place: Place, box: Box) -> tuple[int, int]:
    """The pixel at shares of a box's height and width."""
    top, bottom, left, right = box
    return top + int(place[0] * (bottom - top)), left + int(place[1] * (right - left))


def luckiest(cases: Sequence[Case]) -> Place:
    """The point of the box that lies in most lesions."""
    line = (np.arange(LUCKY) + 0.5) / LUCKY
    points = [(row, column) for row in line for column in line]
    return max(points, key=lambda point: sum(case.lesion[at(point, case.box)] for case in cases))


def report(turns: Sequence[Turn], cancers: int) -> None:
    """A row a class and one for all: shares of hits, in brackets those that are near enough."""
    print(f"{len(turns)} of {cancers} cancers classified correctly")  # noqa: T201
    print("| class | images | map | middle of the lungs | luckiest point | any point |\n|---|---|---|---|---|---|")  # noqa: T201
    labels = sorted({turn.label for turn in turns})
    for name in [*labels, "all"]:
        of_class = [turn for turn in turns if name in (turn.label, "all")]
        shares = [
            f"{np.mean([getattr(turn, guess) for turn in of_class]):.2f} "
            f"({np.mean([getattr(turn, f'{guess}_near') for turn in of_class]):.2f})"
            for guess in ("map", "lungs", "lucky", "random")
        ]
        print(f"| {name} | {len(of_class)} | {' | '.join(shares)} |")  # noqa: T201


if __name__ == "__main__":
    main()
