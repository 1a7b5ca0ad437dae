"""What corruptions of its pictures cost a model: the same images clean and corrupted, compared in pairs."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from cnnClassifier.augmentation import AnyView
from cnnClassifier.config.types import EvaluationConfig, Paths, Settings
from cnnClassifier.corruptions import MILD, CorruptedView, corrupted_views
from cnnClassifier.datasets.manifest import ImageRecord, read_manifest
from cnnClassifier.errors import DataError
from cnnClassifier.features.network import PLAIN, open_features, predict_tail
from cnnClassifier.files import new_folder, scratch_folder, write_json
from cnnClassifier.fit_state import read_history
from cnnClassifier.fitting import make_deterministic
from cnnClassifier.folds import deal_folds
from cnnClassifier.judgement import truth_of
from cnnClassifier.metrics.classification import Floats, Integers, bootstrap_weights
from cnnClassifier.metrics.plots import write_csv
from cnnClassifier.metrics.report import score_in_parts, with_interval
from cnnClassifier.modeling import cut, forward, load_model
from cnnClassifier.recipe import Recipe
from cnnClassifier.robustness_report import plot_robustness

METRICS = ("accuracy", "balanced_accuracy")
WITH_LIMITS = tuple(f"{metric}_change{limit}" for metric in METRICS for limit in ("", "_low", "_high"))
COLUMNS = ("corruption", "strength", "value", "unit", *METRICS, *WITH_LIMITS, "same_answer")

Split = Literal["train", "test"]
Predict = Callable[[Sequence[ImageRecord], AnyView], Floats]
Row = dict[str, Any]


@dataclass(frozen=True)
class Answers:
    """What a model says of images (n) clean and under each corruption: probabilities (n, classes).

    An image stands as often as folds were dealt, each time with the answer of a model that did not see its group.
    """

    truth: Integers
    groups: NDArray[np.str_]
    clean: Floats
    corrupted: Mapping[CorruptedView, Floats]


def measure_robustness(
    settings: Settings, paths: Paths, split: Split, images: int, strongest: int, deals: int
) -> list[Row]:
    """Measure on at most so many images of a split, write <paths.robustness>/<split>, and give the table.

    "train": train and valid together, each group by models that did not see it; "test": the trained model. DataError
    for a split without images.
    """
    make_deterministic(settings.training.seed)
    records = [each for each in read_manifest(paths.audited_manifest) if (each.split == "test") == (split == "test")]
    if not records:
        raise DataError(
            f"{paths.audited_manifest}: no image is in the {split} split; ask for the other by `--split "
            f"{'train' if split == 'test' else 'test'}`, or change data_ingestion.splits and run `python main.py`"
        )
    asked = sample_by_group(records, images, settings.evaluation.seed)
    views = corrupted_views(strongest)
    if split == "test":
        answers = ask_trained(paths, asked, views)
    else:
        answers = ask_untrained(settings, paths, records, asked, views, deals)
    rows = table(answers, settings.evaluation)
    groups = len({record.group for record in asked})
    protocol = "trained model on test" if split == "test" else f"cross-validated over groups, folds dealt {deals} times"
    about = {"protocol": protocol, "images": len(asked), "groups": groups, "confidence": settings.evaluation.confidence}
    write_robustness(rows, about, paths.robustness / split)
    return rows


def ask_trained(paths: Paths, asked: Sequence[ImageRecord], views: Sequence[CorruptedView]) -> Answers:
    """The answers of the model that `training` wrote."""
    model, spec = load_model(paths.model)
    parts = cut(model, spec.freeze)
    features, tail = open_features(parts, spec, paths), forward(parts.tail)
    features.ensure(asked, [PLAIN, *views])
    return ask(partial(predict_tail, tail, features), asked, spec.classes, views)


def ask_untrained(
    settings: Settings,
    paths: Paths,
    records: Sequence[ImageRecord],
    asked: Sequence[ImageRecord],
    views: Sequence[CorruptedView],
    deals: int,
) -> Answers:
    """Out-of-fold answers of the base model, fitted for as many epochs, at the rates, that `training` found best."""
    model, spec = load_model(paths.base_model)
    parts = cut(model, spec.freeze)
    recipe = Recipe(parts.tail, open_features(parts, spec, paths), spec, settings.training)
    search = read_history(paths.history)
    recipe.rates = search.rates
    with scratch_folder(paths.work / "robustness") as scratch:
        return ask_by_groups(recipe, records, asked, views, search.best_epoch + 1, deals, scratch)


def sample_by_group(records: Sequence[ImageRecord], count: int, seed: int) -> list[ImageRecord]:
    """At most `count` of the records, in their order: one of each group before a second of any, classes in turn.

    A larger sample of the same records and seed holds the smaller one.
    """
    taken: defaultdict[str, int] = defaultdict(int)
    groups_of: defaultdict[str, dict[str, int]] = defaultdict(dict)
    ranks = {}
    for row in np.random.default_rng(seed).permutation(len(records)).tolist():
        record = records[row]
        place = groups_of[record.label].setdefault(record.group, len(groups_of[record.label]))
        ranks[row] = (taken[record.group], place, row)
        taken[record.group] += 1
    return [records[row] for row in sorted(sorted(ranks, key=ranks.__getitem__)[:count])]


def ask(
    predict: Predict, asked: Sequence[ImageRecord], classes: Sequence[str], views: Sequence[CorruptedView]
) -> Answers:
    """One model's answers."""
    groups = np.array([record.group for record in asked])
    corrupted = {view: predict(asked, view) for view in views}
    return Answers(truth_of(asked, classes), groups, predict(asked, PLAIN), corrupted)


def ask_by_groups(
    recipe: Recipe,
    records: Sequence[ImageRecord],
    asked: Sequence[ImageRecord],
    views: Sequence[CorruptedView],
    epochs: int,
    deals: int,
    scratch: Path,
) -> Answers:
    """Out-of-fold answers of some of the `records`: each by a model fitted on the folds without its group.

    The folds are dealt `deals` times, from seeds that count up from the recipe's: one deal of few groups is luck.
    """
    recipe.features.ensure(asked, [PLAIN, *views])  # hours, perhaps; what comes after takes seconds
    fits = list(_fits(records, asked, recipe.config.folds, [recipe.config.seed + deal for deal in range(deals)]))
    answers = []
    for number, (rest, held_out) in enumerate(tqdm(fits, desc="folds", unit="fit", disable=None)):
        recipe.fit_for(rest, epochs, scratch / f"fit{number}.npz")
        answers.append(ask(recipe.predict, held_out, recipe.spec.classes, views))
    return _join(answers)


def table(answers: Answers, how: EvaluationConfig) -> list[Row]:
    """A row for each corruption and strength; the first row is the clean picture's, at strength 0.

    Changes are corrupted less clean, with limits by a bootstrap over groups that draws both alike. `same_answer` is
    the share of images that are called what they are called clean.
    """
    measure = _Measure(answers, how)
    clean = {"corruption": "none", "strength": 0, "value": "", "unit": "", **measure.of(answers.clean)}
    return [clean, *({**_described(view), **measure.of(said)} for view, said in answers.corrupted.items())]


def worst_mild(rows: Sequence[Row]) -> Row:
    """The mild corruption that costs most accuracy; DataError for a table without any."""
    mild = [row for row in rows if 1 <= row["strength"] <= MILD]
    if not mild:
        raise DataError("no mild corruption was measured; ask for strengths from 1 on")
    return min(mild, key=lambda row: row["accuracy_change"])


def write_robustness(rows: Sequence[Row], about: Mapping[str, Any], folder: Path) -> None:
    """Write robustness.json (what `about` says, the worst mild corruption, the rows), .csv and .png."""
    with new_folder(folder) as partial:
        write_json({**about, "worst_mild": worst_mild(rows), "rows": list(rows)}, partial / "robustness.json")
        write_csv(partial / "robustness.csv", COLUMNS, ([str(row[name]) for name in COLUMNS] for row in rows))
        plot_robustness(rows, f"{about['protocol']}, {about['images']} images", partial / "robustness.png")


class _Measure:
    """Scores any answers beside the clean ones, on the same draws of groups."""

    def __init__(self, answers: Answers, how: EvaluationConfig) -> None:
        self.answers, self.confidence = answers, how.confidence
        # The first draw is the images as they are.
        drawn = bootstrap_weights(answers.groups, how.resamples, how.seed)
        self.weights = np.vstack([np.ones(len(answers.truth)), drawn])
        self.clean = score_in_parts(answers.truth, answers.clean, self.weights)

    def of(self, said: Floats) -> Row:
        scores = score_in_parts(self.answers.truth, said, self.weights)
        row: Row = {}
        for metric in METRICS:
            values = getattr(scores, metric)
            change = values - getattr(self.clean, metric)
            row[metric] = round(float(values[0]), 6)
            limits = with_interval(change[0], change[1:], self.confidence)
            row |= zip((f"{metric}_change{end}" for end in ("", "_low", "_high")), limits.values(), strict=True)
        same = said.argmax(axis=1) == self.answers.clean.argmax(axis=1)
        return {**row, "same_answer": round(float(same.mean()), 6)}


def _described(view: CorruptedView) -> Row:
    kind = view.corruption
    return {"corruption": kind.name, "strength": view.strength, "value": view.value, "unit": kind.unit}


def _fits(
    records: Sequence[ImageRecord], asked: Sequence[ImageRecord], folds: int, seeds: Sequence[int]
) -> Iterator[tuple[list[ImageRecord], list[ImageRecord]]]:
    """For each fold of each deal that holds any of the asked: the records to fit on, the asked to predict."""
    wanted = set(asked)
    for seed in seeds:
        fold = deal_folds(records, folds, seed)
        for number in sorted(set(fold.tolist())):
            held_out = [each for each, its_fold in zip(records, fold, strict=True) if its_fold == number]
            if members := [each for each in held_out if each in wanted]:
                yield [each for each, its_fold in zip(records, fold, strict=True) if its_fold != number], members


def _join(parts: Sequence[Answers]) -> Answers:
    return Answers(
        np.concatenate([part.truth for part in parts]),
        np.concatenate([part.groups for part in parts]),
        np.concatenate([part.clean for part in parts]),
        {view: np.concatenate([part.corrupted[view] for part in parts]) for view in parts[0].corrupted},
    )
