"""Whether a source's pictures are drawn: the phantom, or a folder or zip with the mark that a drawing program left."""

import zipfile
from pathlib import Path, PurePosixPath

from cnnClassifier.config.data import CsvSource, FolderSource, PhantomSource, Source, ZipSource

MARK = ".synthetic"  # hidden: no image of the folder


def write_mark(folder: Path) -> None:
    """Mark a folder of drawn pictures, so that every page and card made of them says so."""
    text = "The pictures in this folder were drawn by a program. They say nothing about patients.\n"
    (folder / MARK).write_text(text, encoding="utf-8")


def is_synthetic(source: Source) -> bool:
    """Whether the images that a source gives are drawn."""
    match source:
        case PhantomSource():
            return True
        case FolderSource(path=root) | CsvSource(root=root):
            return (root / MARK).is_file()
        case ZipSource(path=archive, root=root) if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as members:
                return PurePosixPath(root, MARK) in map(PurePosixPath, members.namelist())
        case _:
            return False
