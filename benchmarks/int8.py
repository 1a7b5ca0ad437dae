"""What eight bits cost on the honest protocol: `python benchmarks/int8.py --project <a finished run> [--deals 5]`.

The run's own recipe on the same folds, on the features of its frozen part in float32 and in eight bits. Grouped
cross-validation of train+valid; the test split is never read.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from held_out import FIGURES, Floats, figures, images_to_learn_from, say

from cnnClassifier.config.loading import load_project, load_settings
from cnnClassifier.cross_validation import cross_validate
from cnnClassifier.datasets.manifest import ImageRecord
from cnnClassifier.features.network import PLAIN, open_features
from cnnClassifier.fit_state import read_history
from cnnClassifier.fitting import make_deterministic
from cnnClassifier.folds import Folds, deal_folds
from cnnClassifier.judgement import truth_of
from cnnClassifier.modeling import cut, load_model
from cnnClassifier.recipe import Recipe

PRECISIONS = ("float32", "int8")


def main() -> None:
    """Print what features differ by, then a table of deals, and the mean difference with its standard error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--project", type=Path, required=True)
    parser.add_argument("--deals", type=int, default=5)
    options = parser.parse_args()
    os.chdir(options.project)
    paths, settings = load_project().paths, load_settings()
    records = images_to_learn_from(paths.audited_manifest)
    make_deterministic(settings.training.seed)
    model, spec = load_model(paths.base_model)
    parts = cut(model, spec.freeze)
    extractors = {
        precision: open_features(parts, spec.model_copy(update={"precision": precision}), paths)
        for precision in PRECISIONS
    }
    for precision, extractor in extractors.items():
        began = time.perf_counter()
        extractor.ensure(records, [PLAIN])
        say(f"{precision}: what the cache lacked of {len(records)} images took {time.perf_counter() - began:.0f} s")
    exact, rounded = (extractor.read(records, PLAIN) for extractor in extractors.values())
    apart = np.linalg.norm(rounded - exact, axis=1) / np.linalg.norm(exact, axis=1)
    say(f"features differ by {apart.mean():.2%} of their length, at most {apart.max():.2%}")
    # Before any fit: they share the tail, and each starts from its weights as they are now.
    recipes = {name: Recipe(parts.tail, each, spec, settings.training) for name, each in extractors.items()}
    search = read_history(paths.history)
    for recipe in recipes.values():
        recipe.rates = search.rates
    found = [judge(deal, recipes, records, search.best_epoch + 1) for deal in range(options.deals)]
    differences = np.array([each["int8"] - each["float32"] for each in found])
    say("| int8 - float32 | mean | standard error | of each deal |\n|---|---|---|---|")
    for name, column in zip(FIGURES, differences.T, strict=True):
        error = column.std(ddof=1) / len(column) ** 0.5
        say(f"| {name} | {column.mean():+.4f} | {error:.4f} | {', '.join(f'{each:+.4f}' for each in column)} |")


def judge(deal: int, recipes: Mapping[str, Recipe], records: list[ImageRecord], epochs: int) -> dict[str, Floats]:
    """The figures of both on one dealing of the folds."""
    found = {}
    for precision, recipe in recipes.items():
        fold = deal_folds(records, recipe.config.folds, recipe.config.seed + deal)
        with tempfile.TemporaryDirectory() as checkpoints:
            told = cross_validate(recipe, Folds(records, fold, epochs), Path(checkpoints))
        found[precision] = figures(told, truth_of(records, recipe.spec.classes))
        said = ", ".join(f"{name} {value:.4f}" for name, value in zip(FIGURES, found[precision], strict=True))
        say(f"deal {deal}, {precision}: {said}")
    return found


if __name__ == "__main__":
    main()
