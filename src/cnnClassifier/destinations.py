"""Where a command may put what it makes: never where files of others would be lost, and asked before the work."""

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

from cnnClassifier.datasets.candidates import is_inside
from cnnClassifier.errors import ConfigError
from cnnClassifier.files import naming_file

BLOCK = 4096  # bytes: a full disk still makes files, of nothing


@dataclass(frozen=True)
class Earlier:
    """How the folder that a command wrote before is known: it holds all of `always`, some of `perhaps`, no more."""

    title: str
    always: Collection[str]
    perhaps: Collection[str] = ()

    def stranger_in(self, folder: Path) -> str | None:
        """A name in a folder that shows that something else is there; None for an empty or an earlier one."""
        names = sorted(entry.name for entry in folder.iterdir())
        if {*self.always} <= {*names}:
            return next((name for name in names if name not in self.always and name not in self.perhaps), None)
        return names[0] if names else None


def check_new_folder(out: Path, earlier: Earlier, read: Path | None = None) -> None:
    """Raise ConfigError unless `out` is new, empty or an earlier one: `files.new_folder` replaces all that is there.

    `read` is a folder that the command reads; neither it nor the working folder may be lost, nor be written into.
    """
    if read is not None:
        check_outside(out, read)
    for needed in filter(None, (read, Path.cwd())):
        if is_inside(needed, out):
            raise ConfigError(f"{out}: {needed} lies in it and would be lost; name another place")
    if out.exists() and (stranger := earlier.stranger_in(out) if out.is_dir() else out.name):
        raise ConfigError(
            f"{out}: something else is there ({stranger}) and would be lost; move it away, or name a folder that is "
            f"new, empty or {earlier.title}"
        )


def check_outside(out: Path, read: Path) -> None:
    """Raise ConfigError if `out` lies in a folder that the command only reads."""
    if is_inside(out, read):
        raise ConfigError(f"{out}: lies in {read}, which is only read; name another place")


def check_new_file(out: Path, read: Iterable[Path] = ()) -> Path:
    """The place that `out` leads to, links followed; raises what would keep it from being written before the work.

    `files.new_file` puts a file in that place, where a device or pipe would be lost: ConfigError for these, for a
    folder, and for one of the files that the command reads, OSError for what the system refuses.
    """
    place = Path(os.path.realpath(out))
    if out.is_dir():
        raise ConfigError(f"--out {out}: a folder; name a file in it")
    if place.exists() and not place.is_file():
        raise ConfigError(f"--out {out}: no regular file, which is replaced as a whole; name another file")
    if place.exists() and str(place) in map(os.path.realpath, read):
        raise ConfigError(f"--out {out}: is read by this command and would be lost; name another file")
    place.parent.mkdir(parents=True, exist_ok=True)
    with naming_file(out), TemporaryFile(dir=place.parent) as trial:
        trial.write(bytes(BLOCK))
    return place
