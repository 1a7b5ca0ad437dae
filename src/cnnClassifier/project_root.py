"""Which folder is the project, wherever DVC lets a stage work."""

from pathlib import Path

DVC_EXPERIMENTS = (".dvc", "tmp", "exps")


def project_root(folder: Path) -> Path:
    """The project a folder belongs to.

    `dvc exp run --temp` and `--queue` work in a copy inside .dvc/tmp/exps, which DVC deletes and which lacks what git
    does not see: what must outlive the experiment is kept in the project itself, and .env is read from there.
    """
    for parent in folder.parents:
        if parent.parts[-3:] == DVC_EXPERIMENTS:
            return parent.parents[2]
    return folder
