"""Export a finished run's or a registered model into a folder that can be used alone, if it proves equal."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnClassifier.config.loading import load_project, load_settings
from cnnClassifier.config.types import Paths, ProjectConfig
from cnnClassifier.datasets.manifest import read_manifest
from cnnClassifier.destinations import Earlier, check_new_folder
from cnnClassifier.ensembles import ENSEMBLE_FILE
from cnnClassifier.errors import ConfigError, DataError, ModelError
from cnnClassifier.files import new_folder, write_json
from cnnClassifier.finished_run import read_finished
from cnnClassifier.formats.kinds import EXPORT_FILE, FILES, Format
from cnnClassifier.formats.parity import Parity, check, compare
from cnnClassifier.importing import heavy_imports
from cnnClassifier.model_spec import CARD_FILE, OUTLIERS_FILE, SPEC_FILE, read_spec

IMAGES = 24  # at most: real images on which both are compared
ROUNDED = 0.1  # of a probability, or of the largest feature: what float32 may differ by from eight bits
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".jp2", ".ppm", ".dcm")
BESIDE = (SPEC_FILE, OUTLIERS_FILE, CARD_FILE)  # what goes with the file, where the package has it
EARLIER = Earlier("an earlier export", always=(EXPORT_FILE,), perhaps=(*BESIDE, *FILES.values()))

IMPORT = "`python main.py import-model` registers the one that comes with the code"


@dataclass(frozen=True)
class Source:
    """What is exported: the served package, and the Keras model's folder, which releases and ensembles lack."""

    title: str
    package: Path
    keras: Path | None


@dataclass(frozen=True)
class Wish:
    """Which registered model, by number or else by alias (champion); without a name the finished run's."""

    name: str | None = None
    version: int | None = None
    alias: str | None = None


def export_model(kind: Format, out: Path, wish: Wish, images: Path | None) -> str:
    """Export into `out`, and a line that says how equal both are on real images.

    `images` is a folder of them (default: the test images of the last run). ConfigError if something else is in
    `out`, or for a version of a model without a name; ModelError, with nothing written, if the difference is above
    `registration.tolerance`, or above ROUNDED where what is served computes in eight bits: other formats do not.
    """
    if wish.name is None and (wish.version is not None or wish.alias is not None):
        raise ConfigError("--version and --alias are a registered model's; name it by --model")
    settings, project = load_settings(), load_project()
    check_new_folder(out, EARLIER)
    files = _images(project.paths, images)
    with _source(wish, project) as source:
        parity = export(kind, out, source, files, settings.registration.tolerance)
    return (
        f"{out / FILES[kind]}: {source.title}; on {parity.images} real images probabilities differ by at most "
        f"{parity.probability:.2g} and features by {parity.feature:.2g} of the largest"
    )


def export(kind: Format, out: Path, source: Source, images: Sequence[Path], tolerance: float) -> Parity:
    """Write the folder `out`, replacing an earlier export, if its file says what the source does."""
    model = _keras_model(kind, source)
    with new_folder(out) as folder:
        for name in BESIDE:
            if (source.package / name).is_file():
                shutil.copyfile(source.package / name, folder / name)
        parity = _write(kind, folder, source, model, images)
        check(parity, _tolerance(source, tolerance), f"{source.title} as {kind}")
        report = {"model": source.title, "format": kind.value, "file": FILES[kind], **parity.model_dump()}
        write_json(report, folder / EXPORT_FILE)
    return parity


def _write(kind: Format, folder: Path, source: Source, model: Any, images: Sequence[Path]) -> Parity:
    """Write the file and compare it: ONNX, which is the served package's, with the Keras model where there is one."""
    from cnnClassifier.formats.reading import open_format, run_keras, run_package

    spec = read_spec(source.package)
    if kind is Format.ONNX:
        shutil.copyfile(source.package / FILES[kind], folder / FILES[kind])
        reference = run_package(source.package) if model is None else run_keras(_answering(model))
    else:
        from cnnClassifier.formats.writing import write_format

        write_format(kind, model, folder)
        reference = run_package(source.package)
    return compare(open_format(kind, folder), reference, images, spec.preprocessing)


def _tolerance(source: Source, tolerance: float) -> float:
    """One of the two compared is the Keras model, in float32: a package in eight bits says nearly the same."""
    return ROUNDED if read_spec(source.package).precision == "int8" else tolerance


def _answering(model: Any) -> Any:
    from cnnClassifier.formats.writing import answering

    return answering(model)


def _keras_model(kind: Format, source: Source) -> Any:
    """The Keras model; None if the source has none and the format needs none."""
    if source.keras is None:
        if kind is Format.ONNX:
            return None
        raise ModelError(f"{source.title} holds no Keras model, only what is served: {_why_not_keras(kind, source)}")
    with heavy_imports():
        from cnnClassifier.modeling import load_model
    return load_model(source.keras)[0]


def _why_not_keras(kind: Format, source: Source) -> str:
    if (source.package / ENSEMBLE_FILE).is_file():
        return (
            f"it is an ensemble, whose members were trained apart. It can be exported as {Format.ONNX.value}; "
            f"export its members one by one for {kind.value}"
        )
    return (
        f"it came with the code. It can be exported as {Format.ONNX.value}; train it (python main.py) for {kind.value}"
    )


@contextmanager
def _source(wish: Wish, project: ProjectConfig) -> Iterator[Source]:
    """The model wished for; a registered one is there as long as the block lasts."""
    if wish.name is None:
        yield _finished_run(project.paths)
        return
    from cnnClassifier.tracking.connection import connect
    from cnnClassifier.tracking.originals import TRAIN, fetch_original
    from cnnClassifier.tracking.registry import CHAMPION

    connection = connect(project.tracking)
    if not connection.is_unused:
        connection.check()
    released = project.serving.released
    advice = IMPORT if released and released.name == wish.name else TRAIN
    with tempfile.TemporaryDirectory(prefix="cnnClassifier-export-") as folder:
        found = fetch_original(connection, wish.name, wish.version, wish.alias or CHAMPION, Path(folder), advice)
        yield Source(f"{wish.name} version {found.model.version}", found.package, found.keras)


def _finished_run(paths: Paths) -> Source:
    if not (paths.package / SPEC_FILE).is_file() or not (paths.model / SPEC_FILE).is_file():
        raise DataError(
            f"{paths.package}: no finished run; run `python main.py` first, or name a registered model by --model"
        )
    read_finished(paths, "weights")
    return Source("the last run's model", paths.package, paths.model)


def _images(paths: Paths, folder: Path | None) -> Sequence[Path]:
    """Some images, at even distances: of the folder, or the last run's test split."""
    if folder is not None:
        found = sorted(file for file in folder.rglob("*") if _is_image(file, folder))
        if not found:
            raise DataError(f"--images {folder}: no image files there ({', '.join(SUFFIXES)})")
    elif paths.audited_manifest.is_file():
        records = read_manifest(paths.audited_manifest)
        found = [paths.images / record.path for record in records if record.split == "test"]
    else:
        raise DataError(
            f"{paths.audited_manifest}: no run's images to compare the exported model on; "
            "name a folder of some by --images"
        )
    return found[:: -(-len(found) // IMAGES) or 1]


def _is_image(file: Path, folder: Path) -> bool:
    """Whether it is meant as one: what is hidden, as macOS' `._scan.png`, is not."""
    hidden = any(step.startswith(".") for step in file.relative_to(folder).parts)
    return file.suffix.lower() in SUFFIXES and not hidden and file.is_file()
