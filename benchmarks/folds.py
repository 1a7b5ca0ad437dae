"""What folds on a Ray cluster save: `python benchmarks/folds.py --project <a run> [--freeze block4_pool] [--nodes 2]`.

The folds of the project's own images are fitted here, one after the other on all cores, and then on a cluster of this
machine, from asking it to the last fold. `--freeze` says where the network is cut: with `all` a fold is a head of
cached vectors, with an earlier layer everything above it is fitted. Run it on a quiet machine; nodes that are other
machines would not share its cores.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from cnnClassifier.augmentation import all_views
from cnnClassifier.components.prepare_base_model import base_spec
from cnnClassifier.config.loading import load_project, load_settings
from cnnClassifier.cross_validation import FitFolds, cross_validate
from cnnClassifier.features.network import open_features
from cnnClassifier.fitting import make_deterministic
from cnnClassifier.fold_cluster import fit_on_cluster
from cnnClassifier.folds import Folds, deal_folds
from cnnClassifier.modeling import build_classifier, cut
from cnnClassifier.ray_cluster import Cluster
from cnnClassifier.recipe import Recipe
from cnnClassifier.sweep.judging import open_bench

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Print a table of both, and how far their probabilities are apart."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--project", type=Path, required=True)
    parser.add_argument("--freeze", default="all")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--nodes", type=int, default=2, help="of one core each")
    options = parser.parse_args()
    sys.path += [str(ROOT / "tests"), str(ROOT / "tests/scoring")]
    os.chdir(options.project)
    recipe, folds = prepared(options.freeze, options.epochs)
    say(f"{len(folds.records)} images, {len(folds.numbers)} folds of {options.epochs} epochs, freeze {options.freeze}")
    say("| where | seconds | to here | largest difference of a probability |\n|---|---|---|---|")
    here, alone = fitted(recipe, folds)
    say(f"| here | {alone:.1f} | 1.00 | |")
    with nodes(options.nodes) as address:
        there, seconds = fitted(recipe, folds, lambda *asked: fit_on_cluster(Cluster(address), *asked))
    say(f"| {options.nodes} nodes | {seconds:.1f} | {seconds / alone:.2f} | {np.abs(here - there).max():.1e} |")


def prepared(freeze: str, epochs: int) -> tuple[Recipe, Folds]:
    """The project's own recipe but for where it is cut, with all features in the cache."""
    settings, paths = load_settings(), load_project().paths
    head = settings.prepare_base_model.head.model_copy(update={"also": ()})  # inner layers could not be cut off
    base = settings.prepare_base_model.model_copy(update={"freeze": freeze, "precision": "float32", "head": head})
    bench, config = open_bench(settings, paths), settings.training
    make_deterministic(config.seed)
    spec = base_spec(base, bench.classes)
    parts = cut(build_classifier(base, len(bench.classes.names)), freeze)
    recipe = Recipe(parts.tail, open_features(parts, spec, paths), spec, config)
    recipe.features.ensure(bench.records, all_views(config.augmentation, config.seed))
    return recipe, Folds(bench.records, deal_folds(bench.records, config.folds, config.seed), epochs)


def fitted(recipe: Recipe, folds: Folds, elsewhere: FitFolds | None = None) -> tuple[np.ndarray, float]:
    """Probabilities out of fold, and how many seconds they took."""
    with tempfile.TemporaryDirectory() as checkpoints:
        began = time.perf_counter()
        found = cross_validate(recipe, folds, Path(checkpoints), elsewhere)
        return found, time.perf_counter() - began


@contextmanager
def nodes(count: int) -> Iterator[str]:
    """The address of a cluster of so many nodes, which this process may talk to."""
    from ray_nodes import SETTINGS, ray_head, ray_node

    with ExitStack() as cluster:
        address, environment = cluster.enter_context(ray_head())
        os.environ.update(SETTINGS)
        for there in range(2, count + 1):
            cluster.enter_context(ray_node(address, environment, there))
        yield address


def say(text: str) -> None:
    """Print at once: whoever waits sees it."""
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
