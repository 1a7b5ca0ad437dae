"""List a folder of images: class folders, below split folders where the configuration names them."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from cnnClassifier.config.data import DataIngestionConfig, Split
from cnnClassifier.datasets.candidates import (
    NO_CLASS,
    Candidate,
    Listing,
    check_inside,
    class_folder,
    find_class,
    find_group,
    in_path_order,
    is_excluded,
    is_inside,
    refuse_name,
)
from cnnClassifier.datasets.manifest import RejectedFile
from cnnClassifier.errors import DataError


def list_folder(root: Path, config: DataIngestionConfig) -> Listing:
    """List the files below `root` in path order; those in no class folder are rejected.

    Raises DataError for a missing split folder, for files in a folder that is neither split nor class, and
    for a link that leads out of the root.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; correct `data_ingestion.source`")
    folders = {split: PurePosixPath(name).as_posix() for split, name in (config.splits or {}).items()}
    _check_split_folders(root, folders)
    return in_path_order(_place(root, path, folders, config) for path in walk_files(root, config.exclude))


def _check_split_folders(root: Path, folders: dict[Split, str]) -> None:
    for split, folder in folders.items():
        if not (root / folder).is_dir():
            raise DataError(
                f"{root}: the folder {folder!r} of split {split} is missing; correct `data_ingestion.splits`"
            )
        check_inside(root / folder, root, "data_ingestion.splits")


def walk_files(root: Path, exclude: Sequence[str] = (), left_out: list[str] | None = None) -> Iterator[str]:
    """Files below the root, as paths relative to it; hidden and excluded files and folders are passed over.

    Raises DataError for a folder that may not be listed, and for a link that leads out of the root. With `left_out`,
    for commands where nothing can be excluded, files that such a link leads to are only put into that list.
    """
    linked: dict[str, Path] = {}
    for parent, folders, files in os.walk(root, followlinks=True, onerror=_refuse_unlisted):
        above = "" if parent == str(root) else f"{Path(parent).relative_to(root).as_posix()}/"
        folders[:] = _wanted(folders, above, exclude)
        for link in _links(parent, folders):
            if left_out is None:
                check_inside(link, root, str(root))
            _check_not_above(link, root)
            _check_entered_once(link, linked)
        files = _wanted(files, above, exclude)
        if left_out is None:
            for link in _links(parent, files):
                check_inside(link, root, str(root))
        elif outside := _outside(parent, files, root):
            left_out += (above + name for name in files if name in outside)
            files = [name for name in files if name not in outside]
        yield from (above + name for name in files)


def _outside(parent: str, files: Sequence[str], root: Path) -> set[str]:
    """Which files of a folder lie outside the root: those in a linked folder, and those that are links themselves."""
    if not is_inside(Path(parent), root):
        return set(files)
    return {link.name for link in _links(parent, files) if not is_inside(link, root)}


def _wanted(names: Sequence[str], above: str, exclude: Sequence[str]) -> list[str]:
    return [name for name in names if not name.startswith(".") and not is_excluded(above + name, exclude)]


def _links(parent: str, names: Sequence[str]) -> list[Path]:
    return [link for name in names if (link := Path(parent, name)).is_symlink()]


def _refuse_unlisted(error: OSError) -> None:
    """os.walk would pass over a folder that it may not list, and its images would be missing without a word."""
    raise DataError(f"{error.filename}: cannot be listed: {error.strerror}; correct its permissions or exclude it")


def _check_entered_once(link: Path, linked: dict[str, Path]) -> None:
    """A folder entered by two links lists its images twice; a link to a folder above it, for ever."""
    target = os.path.realpath(link)
    if target in linked:
        raise DataError(
            f"{link}: leads to {target}, where {linked[target]} leads too; remove or exclude one of these links"
        )
    linked[target] = link


def _check_not_above(link: Path, root: Path) -> None:
    """Through a link to the root or above it, the root's own images would be listed again, as others."""
    if is_inside(root, link):
        raise DataError(f"{link}: leads to {os.path.realpath(link)}, which {root} lies in; remove or exclude this link")


def _place(root: Path, path: str, folders: dict[Split, str], config: DataIngestionConfig) -> Candidate | RejectedFile:
    if refused := refuse_name(path):
        return refused
    split, below = _cut_split(root, path, folders) if folders else (None, path)
    if class_folder(below) is None:
        return RejectedFile(path, NO_CLASS)
    label = find_class(below, config.classes, where=str(root))
    return Candidate(root / path, path, label, split, find_group(path, config.group_pattern))


def _cut_split(root: Path, path: str, folders: dict[Split, str]) -> tuple[Split | None, str]:
    """The split of a path and what follows its folder; for a file beside the split folders, only its name."""
    for split, folder in folders.items():
        if path.startswith(f"{folder}/"):
            return split, path.removeprefix(f"{folder}/")
    end = path.rfind("/") + 1
    if any(folder.startswith(path[:end]) for folder in folders.values()):
        return None, path[end:]
    raise DataError(
        f"{root / path[:end]}: not in a split folder ({', '.join(folders.values())}); "
        "correct `data_ingestion.splits` or exclude it"
    )
