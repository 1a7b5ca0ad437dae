"""What the commands do: run one stage in this process, or work on the results of a run."""

import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from cnnClassifier import feature_sharing
from cnnClassifier.changed_settings import warn_of_changed_settings
from cnnClassifier.components import load_component
from cnnClassifier.config.loading import EXPERIMENTS, PARAMS_FILE, experiment_file, load_project, load_settings
from cnnClassifier.config.types import ProjectConfig
from cnnClassifier.errors import ConfigError, DataError
from cnnClassifier.features import spaces
from cnnClassifier.files import new_file, write_text
from cnnClassifier.importing import heavy_imports
from cnnClassifier.ray_cluster import Cluster
from cnnClassifier.reproducing import reproduce
from cnnClassifier.terminal import console

README = Path("README.md")
RESULTS = Path("docs/results")
SAMPLES = RESULTS / "samples"
RESULTS_PAGE = Path("docs/results.md")

log = logging.getLogger(__name__)


def activate(experiment: str) -> None:
    """Make a shipped experiment the active params.yaml. Edits that no shipped experiment has are backed up first."""
    wanted = experiment_file(experiment)
    load_settings(wanted)
    keep_edits_aside()
    with new_file(PARAMS_FILE) as partial:  # replaces a link, which may point to a shipped experiment
        shutil.copyfile(wanted, partial)
    log.info("params.yaml is now %s", wanted)


def keep_edits_aside() -> None:
    """Back up params.yaml if it equals no shipped experiment."""
    if PARAMS_FILE.is_file() and not _is_shipped(PARAMS_FILE):
        aside = PARAMS_FILE.with_name(f"params.yaml.bak-{time.strftime('%Y%m%d-%H%M%S')}")
        shutil.copyfile(PARAMS_FILE, aside)
        log.warning("your edited params.yaml is backed up as %s", aside)


def run_stage(stage: str) -> None:
    """Run one stage on the active parameters and log its results to the pipeline's MLflow run."""
    settings, project = load_settings(), load_project()
    from cnnClassifier.tracking.connection import connect
    from cnnClassifier.tracking.ending import failure_recorded
    from cnnClassifier.tracking.released import import_if_empty
    from cnnClassifier.tracking.run import open_run, record_stage

    connection = connect(project.tracking)
    connection.check()
    if stage == "registration" and project.serving.released:
        # Now, while the registry is empty: the model shipped with the code is imported into no other.
        import_if_empty(connection, project.serving.released, project.paths.cache)
    run = open_run(connection, settings, project.paths.cache)
    with failure_recorded(run):
        feature_sharing.take(spaces.root_of(project.paths.cache))
        with heavy_imports():
            component = load_component(stage)
        began, started = time.time(), time.monotonic()
        component(getattr(settings, stage), project.paths, run).run()
    log.info("%s took %.1f s", stage, time.monotonic() - started)
    record_stage(connection, settings, project.paths, stage)
    spaces.keep_below(spaces.root_of(project.paths.cache), project.features.limit_gb * spaces.GB, began)
    if stage == "registration":
        run.finish()


@contextmanager
def _features_kept_below(project: ProjectConfig) -> Iterator[None]:
    """After the block, however it ends, remove what was used longest ago beyond `features.limit_gb`."""
    began = time.time()
    try:
        yield
    finally:
        spaces.keep_below(spaces.root_of(project.paths.cache), project.features.limit_gb * spaces.GB, began)


def run_sweep(name: str, trials: int | None = None, minutes: float | None = None, storage: str | None = None) -> None:
    """Run a sweep that starts from the active parameters. Resumes where an earlier call stopped."""
    settings, project = load_settings(), load_project()
    from cnnClassifier.tracking.connection import connect

    connection = connect(project.tracking)
    connection.check()
    feature_sharing.take(spaces.root_of(project.paths.cache))
    with heavy_imports():
        from cnnClassifier.sweep.command import sweep
    with _features_kept_below(project):
        sweep(name, settings, project.paths, connection, trials=trials, minutes=minutes, storage=storage)


def run_compare(candidates: str | None, register: bool) -> None:
    """Compare candidates on the active experiment's folds. With `register`, run the pipeline with the best of them."""
    settings, project = load_settings(), load_project()
    from cnnClassifier.tracking.connection import connect

    connection = connect(project.tracking)
    connection.check()
    feature_sharing.take(spaces.root_of(project.paths.cache))
    with heavy_imports():
        from cnnClassifier.selection.command import compare_candidates
        from cnnClassifier.selection.handover import take_over
    with _features_kept_below(project):
        best = compare_candidates(candidates, settings, project.paths, connection)
    if register:
        if best.values:
            keep_edits_aside()
        take_over(best, PARAMS_FILE)
        reproduce()
        print_results()


def make_ensemble(name: str, members: list[str]) -> str:
    """Register the mean of registered models as a model of that name. Returns a line that says what it is."""
    settings, project = load_settings(), load_project()
    from cnnClassifier.ensembles.command import make_ensemble
    from cnnClassifier.tracking.connection import connect

    connection = connect(project.tracking)
    connection.check()
    return make_ensemble(name, members, settings, project.paths, connection)


def promote_version(version: int, because: str, model: str | None = None) -> str:
    """Make a version champion for a stated reason. Returns a line that says what changed.

    `model` is a registered model's name (default: the active experiment's).
    """
    if not because.strip():
        raise ConfigError('promote: `--because` must say why, as in --because "checked by hand on 40 new scans"')
    settings, project = load_settings(), load_project()
    from cnnClassifier.tracking import connection, registry

    server = connection.connect(project.tracking)
    server.check()
    name = model or settings.registration.name
    before = registry.promote(server, name, version, because.strip())
    if before == version:
        return f"{name}: version {version} is champion already; nothing was changed"
    instead = "the first" if before is None else f"in place of version {before}"
    return f"{name}: version {version} is champion now, {instead}, because: {because.strip()}"


def release() -> str:
    """Make the active experiment's finished run the released model of its name. Returns a line that says what it is."""
    settings, project = load_settings(), load_project()
    from cnnClassifier.release.packing import MIB, MODELS, pack_release, size_of
    from cnnClassifier.tracking.connection import connect
    from cnnClassifier.tracking.standing import standing_of

    standing = standing_of(connect(project.tracking), project.paths.registration)
    packed = pack_release(settings, PARAMS_FILE, project.paths, standing=standing)
    folder, rounding = MODELS / packed.name, packed.rounding
    return (
        f"{folder}: {size_of(folder) / MIB:.1f} MiB, {packed.metric} {packed.score:.4f}; half precision changes no "
        f"answer to {rounding.images} test images, and probabilities by at most {rounding.largest_difference:.2g}"
    )


def import_released() -> str:
    """Register the released model, on a server too, as first version and champion. Returns a line that says so."""
    project = load_project()
    from cnnClassifier.tracking.connection import connect
    from cnnClassifier.tracking.released import import_release

    if project.serving.released is None:
        raise ConfigError("config/config.yaml: serving.released names no folder; nothing to import")
    connection = connect(project.tracking)
    connection.check()
    version = import_release(connection, project.serving.released, project.paths.cache)
    return f"{project.serving.released} is version {version} and champion in {connection.title}"


def audit_images(folder: Path, out: Path, near_copy: float, same_patient: float) -> None:
    """Audit a folder of images, write the report into `out`, and print a summary."""
    from cnnClassifier.audit.folder import REPORT, audit_folder
    from cnnClassifier.audit.terminal import terminal_summary
    from cnnClassifier.config.data import DataAuditConfig

    audit, found = audit_folder(folder, out, DataAuditConfig(near_copy=near_copy, same_patient=same_patient))
    console().print(terminal_summary(audit, found, out / REPORT))


def print_robustness(split: Literal["train", "test"], images: int, strongest: int, deals: int) -> None:
    """Measure how much corruptions cost the active experiment's model, write the table, and print it."""
    settings, project = load_settings(), load_project()
    warn_of_changed_settings(settings, "data_audit", "training")
    with heavy_imports():
        from cnnClassifier.robustness import measure_robustness
        from cnnClassifier.robustness_report import robustness_table
    with _features_kept_below(project):
        rows = measure_robustness(settings, project.paths, split, images, strongest, deals)
    console().print(robustness_table(rows))
    log.info("written to %s", project.paths.robustness / split)


def print_results() -> None:
    """Print a short table of the last results, the registered version, and what to do next."""
    from cnnClassifier.results import terminal_report
    from cnnClassifier.tracking.connection import connect
    from cnnClassifier.tracking.standing import standing_if_told

    project = load_project()
    standing = standing_if_told(connect(project.tracking), project.paths.registration)
    console().print(terminal_report(project.paths, standing))


def print_features(prune: bool, limit_gb: float | None) -> None:
    """Print what the feature store holds. With `prune`, make it smaller first."""
    from cnnClassifier.features.terminal import store_report

    project = load_project()
    store = spaces.root_of(project.paths.cache)
    limit = (project.features.limit_gb if limit_gb is None else limit_gb) * spaces.GB
    if prune:
        log.info("%s", spaces.prune(store, limit))
    console().print(store_report(store, limit))


def fill_features(cluster: Cluster) -> str:
    """Compute the active experiment's frozen features on a Ray cluster. Returns a line that says how many."""
    settings, project = load_settings(), load_project()
    store = spaces.root_of(project.paths.cache)
    feature_sharing.take(store)
    with heavy_imports():
        from cnnClassifier.feature_filling import fill_features
    began = time.time()
    line = fill_features(settings, project.paths, cluster)
    spaces.keep_below(store, project.features.limit_gb * spaces.GB, began)
    return line


def share_features() -> str:
    """Copy the feature store for DVC, so that others can pull it. Returns a line that says what to do next."""
    return feature_sharing.share(spaces.root_of(load_project().paths.cache))


def write_readme(sample: str | None = None) -> None:
    """Keep the finished run's metrics in docs/results/, then write the tables of README.md and docs/results.md.

    `sample` says in words which part of the data the run used: README.md then does not show it. DataError for a sample
    without a finished run.
    """
    from cnnClassifier.finished_run import read_finished
    from cnnClassifier.results import keep_sample, results_section, samples_section, with_section

    paths = load_project().paths
    if sample and not paths.registration.is_file():
        raise DataError(f"{paths.registration}: no finished run for --sample to describe; run `python main.py` first")
    if paths.registration.is_file():
        # The run's own name: params.yaml may be another experiment's by now.
        file = f"{read_finished(paths, 'metrics')['name']}.json"
        if sample:
            keep_sample(paths.metrics, sample, SAMPLES / file)
        else:
            shutil.copyfile(paths.metrics, RESULTS / file)
    for page, section in ((README, results_section(RESULTS)), (RESULTS_PAGE, samples_section(SAMPLES))):
        write_text(with_section(page.read_text(encoding="utf-8"), section, page.name), page)


def _is_shipped(params: Path) -> bool:
    content = params.read_bytes()
    return any(file.read_bytes() == content for file in EXPERIMENTS.glob("*.yaml"))
