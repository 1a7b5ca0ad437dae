"""Reads imports off the source, as DVC does not: who imports whom, without running anything."""

from functools import cache
from pathlib import Path

from cnnClassifier.tracking import packaging

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
PACKAGE = SOURCE / "cnnClassifier"


@cache
def imported_modules(file: Path) -> tuple[str, ...]:
    """As `packaging.imported_modules`; each file is read once."""
    return tuple(packaging.imported_modules(file))


def first_party_files(file: Path, packages: bool = False) -> set[Path]:
    """The files of this package that a file imports, and those that they import in turn.

    With `packages` also what runs before them, the `__init__.py` of each folder on the way.
    """
    found: set[Path] = set()
    waiting = [file]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting.extend(found_file for name in imported_modules(current) if (found_file := _file_of(name)))
            waiting.extend(_packages_of(current) if packages else [])
    return found


def _packages_of(file: Path) -> list[Path]:
    above = [folder / "__init__.py" for folder in file.parents if folder.is_relative_to(PACKAGE)]
    return [init for init in above if init.is_file()]


@cache
def _file_of(name: str) -> Path | None:
    """cnnClassifier.a.b.Name -> a/b.py or a/b/__init__.py; None for what is not ours."""
    if not name.startswith("cnnClassifier"):
        return None
    for dotted in (name, name.rpartition(".")[0]):
        path = SOURCE / dotted.replace(".", "/")
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                return file
    raise AssertionError(f"{name} is imported but there is no such module")
