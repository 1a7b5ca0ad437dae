"""Would a head that knows patients judge other ones better? `python benchmarks/heads.py --project <a finished run>`.

Logistic regression on the frozen features of the images themselves, each row after another transformation that is
learned on the other folds. First folds of patients, then folds that split them: what the published split measures.
Train+valid alone; the test split is never read.
"""

import argparse
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from held_out import FIGURES, Floats, Integers, figures, images_to_learn_from, say
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from tqdm import tqdm

from cnnClassifier.config.loading import load_project, load_settings
from cnnClassifier.config.types import TrainingConfig
from cnnClassifier.features.network import PLAIN, open_features
from cnnClassifier.folds import deal_folds
from cnnClassifier.judgement import truth_of
from cnnClassifier.metrics.operating import choose_threshold, positive_score
from cnnClassifier.modeling import cut, load_model
from cnnClassifier.weighting import example_weights


class Slices(NamedTuple):
    """Standardised features (n, d) of slices, their classes (n,) and patients (n,)."""

    features: Floats
    labels: Integers
    patients: Integers


# Learned from slices; makes of features (m, d) others of the same shape.
Transformation = Callable[[Floats], Floats]


def as_they_are(_: Slices) -> Transformation:
    """The recipe's own."""
    return lambda features: features


def of_one_length(_: Slices) -> Transformation:
    """Each image's features scaled to the same length."""
    return lambda features: features * (features.shape[1] ** 0.5 / np.linalg.norm(features, axis=1, keepdims=True))


def bent(_: Slices, limit: float) -> Transformation:
    """Large values pressed towards a limit, in deviations."""
    return lambda features: limit * np.tanh(features / limit)


def by_fisher_ratio(slices: Slices, power: float, least: float) -> Transformation:
    """Each feature by a power of how far class means lie apart, over how far patients of a class do (Fisher 1936)."""
    means, classes = patient_means(slices)
    of_class = [means[classes == label] for label in np.unique(classes)]
    within = np.mean([each.var(axis=0, ddof=1) for each in of_class], axis=0)
    chance = np.mean([each.var(axis=0, ddof=1) / len(each) for each in of_class], axis=0)
    between = np.var([each.mean(axis=0) for each in of_class], axis=0, ddof=1) - chance
    scale = (np.maximum(between, 0) / (within + 1e-9) + least) ** power
    scale /= np.sqrt((scale**2).mean())
    return lambda features: features * scale


def whitened(slices: Slices, among: str, like: float) -> Transformation:
    """Directions of large variance pressed together, `like` to half of it (Hatch, Kajarekar and Stolcke 2006)."""
    variances, directions = spread(slices, among)
    change = 1 / np.sqrt(variances / like + 1) - 1
    return lambda features: features + (features @ directions.T * change) @ directions


def projected(slices: Slices, among: str, count: int) -> Transformation:
    """The largest directions taken out (nuisance attribute projection, Solomonoff, Campbell and Boardman 2005)."""
    directions = spread(slices, among)[1][:count]
    return lambda features: features - features @ directions.T @ directions


def spread(slices: Slices, among: str) -> tuple[Floats, Floats]:
    """Variances (k,), largest first, and directions (k, d) of slices of a patient, or of patients of a class."""
    if among == "slices":
        keys = slices.patients * (slices.labels.max() + 1) + slices.labels
        points = slices.features
    else:
        points, keys = patient_means(slices)
    rest = np.concatenate([points[keys == key] - points[keys == key].mean(axis=0) for key in np.unique(keys)])
    _, deviations, directions = np.linalg.svd(rest / len(rest) ** 0.5, full_matrices=False)
    return deviations**2, directions


def patient_means(slices: Slices) -> tuple[Floats, Integers]:
    """The mean features of each patient's slices of one class (p, d), and that class (p,)."""
    pairs = np.unique(np.stack([slices.labels, slices.patients], axis=1), axis=0)
    members = [(slices.labels == label) & (slices.patients == patient) for label, patient in pairs]
    return np.stack([slices.features[each].mean(axis=0) for each in members]), pairs[:, 0]


ROWS: dict[str, Callable[[Slices], Transformation]] = {
    "as they are": as_they_are,
    "of one length": of_one_length,
    "tanh, 2 deviations": partial(bent, limit=2),
    "Fisher ratio + .01, power .5": partial(by_fisher_ratio, power=0.5, least=0.01),
    "Fisher ratio + .05, power .5": partial(by_fisher_ratio, power=0.5, least=0.05),
    "Fisher ratio + .05, power 1": partial(by_fisher_ratio, power=1, least=0.05),
    "Fisher ratio + .2, power .5": partial(by_fisher_ratio, power=0.5, least=0.2),
    "slices of a patient whitened, 10": partial(whitened, among="slices", like=10),
    "slices of a patient, 5 directions out": partial(projected, among="slices", count=5),
    "patients of a class whitened, 10": partial(whitened, among="patients", like=10),
    "patients of a class whitened, 50": partial(whitened, among="patients", like=50),
    "patients of a class, 1 direction out": partial(projected, among="patients", count=1),
    "patients of a class, 8 directions out": partial(projected, among="patients", count=8),
}


class Bench(NamedTuple):
    """What every row is judged on: raw features (n, d), classes and patients (n,), and which classes are positive."""

    features: Floats
    labels: Integers
    patients: Integers
    positive: list[int]
    sensitivity: float
    config: TrainingConfig


def main() -> None:
    """Print a row for each transformation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--project", type=Path, required=True)
    parser.add_argument("--deals", type=int, default=6)
    parser.add_argument("--strength", type=float, default=0.001, help="C of the logistic regression")
    options = parser.parse_args()
    os.chdir(options.project)
    paths, settings = load_project().paths, load_settings()
    records = images_to_learn_from(paths.audited_manifest)
    model, spec = load_model(paths.base_model)
    extractor = open_features(cut(model, spec.freeze), spec, paths)
    extractor.ensure(records, [PLAIN])
    operating = settings.evaluation.operating
    patients = np.unique([record.group for record in records], return_inverse=True)[1]
    positive, sensitivity = (operating.indices(spec.classes), operating.sensitivity) if operating else ([], 1.0)
    features, labels = extractor.read(records, PLAIN).astype(float), truth_of(records, spec.classes)
    bench = Bench(features, labels, patients, positive, sensitivity, settings.training)
    seed, folds = settings.training.seed, settings.training.folds
    apart = [deal_folds(records, folds, seed + deal) for deal in range(options.deals)]
    split = [deal_images(labels, folds, seed + deal) for deal in range(max(options.deals // 3, 1))]
    say(f"| features | {' | '.join(FIGURES)} | specificity | random, balanced | random, accuracy |\n|---|{'---|' * 6}")
    for name, learn in tqdm(ROWS.items(), desc="rows", disable=None):
        found = np.array([judge(bench, learn, deal, options.strength) for deal in apart])
        random = np.array([judge(bench, learn, deal, options.strength) for deal in split]).mean(axis=0)
        balanced, accuracy, loss, specificity = found.mean(axis=0)
        deviation = found[:, 0].std()
        say(
            f"| {name} | {balanced:.3f} ({deviation:.3f}) | {accuracy:.3f} | {loss:.3f} | {specificity:.3f} "
            f"| {random[0]:.3f} | {random[1]:.3f} |"
        )


def deal_images(labels: Integers, folds: int, seed: int) -> Integers:
    """A fold for each image (n,), whoever its patient is."""
    fold = np.empty(len(labels), np.int64)
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for number, (_, held_out) in enumerate(splitter.split(labels, labels)):
        fold[held_out] = number
    return fold


def judge(bench: Bench, learn: Callable[[Slices], Transformation], fold: Integers, strength: float) -> Floats:
    """FIGURES out of fold, then the specificity at the sensitivity that the experiment asks for, (4,)."""
    told = np.empty((len(fold), len(np.unique(bench.labels))))
    for number in np.unique(fold):
        told[fold == number] = predict(bench, learn, fold != number, strength)
    return np.append(figures(told, bench.labels), specificity(bench, told))


def predict(bench: Bench, learn: Callable[[Slices], Transformation], seen: np.ndarray, strength: float) -> Floats:
    """Probabilities (n, classes) of the images not `seen` by a model of those that are."""
    mean, deviation = bench.features[seen].mean(axis=0), bench.features[seen].std(axis=0)
    # As the head standardises (fitting.py): a unit that hardly ever fires does not shout the loudest when it does.
    features = (bench.features - mean) / np.maximum(deviation, 0.1 * np.median(deviation[deviation > 0]))
    slices = Slices(features[seen], bench.labels[seen], bench.patients[seen])
    transform = learn(slices)
    _, _, directions = np.linalg.svd(known := transform(slices.features), full_matrices=False)
    groups = [str(patient) for patient in slices.patients]
    weights = example_weights(slices.labels, groups, bench.labels.max() + 1, bench.config)
    # The solution lies in the images' own subspace, which has fewer dimensions than features.
    model = LogisticRegression(C=strength, max_iter=150).fit(known @ directions.T, slices.labels, weights)
    probabilities: Floats = model.predict_proba(transform(features[~seen]) @ directions.T)
    return probabilities


def specificity(bench: Bench, told: Floats) -> float:
    """The share of negative images below the threshold that finds enough positive ones; 1 where there are none."""
    positive = np.isin(bench.labels, bench.positive)
    if positive.all() or not positive.any():
        return 1.0
    score = positive_score(told, bench.positive)
    return float((score[~positive] < choose_threshold(score, positive, bench.sensitivity)).mean())


if __name__ == "__main__":
    main()
