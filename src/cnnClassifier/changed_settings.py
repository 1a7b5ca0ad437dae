"""Says which sections of params.yaml have changed since the stages ran whose files are worked on.

dvc.lock knows what each stage ran with, but nothing of a stage that was run by hand (`python main.py <stage>`). So it
is believed only while the files that are there are those that it lists.
"""

import hashlib
import logging
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from cnnClassifier.config.loading import PARAMS_FILE, read_yaml, validate
from cnnClassifier.config.section import Section
from cnnClassifier.config.types import Settings
from cnnClassifier.errors import ConfigError

LOCK_FILE = Path("dvc.lock")
# Whose settings are in the files of a stage.
SECTIONS = {"data_audit": ("data_ingestion", "data_audit"), "training": ("prepare_base_model", "training")}

log = logging.getLogger(__name__)


def warn_of_changed_settings(settings: Settings, *stages: str) -> None:
    """One warning for work on the files of these stages (of `SECTIONS`) with settings other than theirs.

    None where dvc.lock is absent or does not tell. A dvc.lock that cannot be read is a warning too: it may hold a
    conflict of git's, and nothing but this needs it.
    """
    try:
        changed = list(_changed_sections(settings, stages))
    except ConfigError as error:
        log.warning("%s. So nobody knows whether %s has changed since the stages ran", error, PARAMS_FILE)
        return
    if changed:
        log.warning(
            "%s: %s changed since the stages ran whose files are used here: old files meet new settings. Run `python "
            "main.py` or `dvc repro` first, unless you mean it",
            PARAMS_FILE,
            ", ".join(changed),
        )


def _changed_sections(settings: Settings, stages: tuple[str, ...]) -> Iterator[str]:
    ran = read_yaml(LOCK_FILE).get("stages", {}) if LOCK_FILE.is_file() else {}
    for stage in stages:
        if _wrote_what_is_there(ran.get(stage, {})):
            yield from (name for name in SECTIONS[stage] if _has_changed(getattr(settings, name), name, ran))


def _wrote_what_is_there(stage: Mapping[str, Any]) -> bool:
    """Folders are not looked into: images may be many, and a new model comes with a new history."""
    md5s = {Path(out["path"]): out.get("md5", "") for out in stage.get("outs", ())}
    files = {path: md5 for path, md5 in md5s.items() if not md5.endswith(".dir")}
    return bool(files) and all(path.is_file() and _md5(path) == md5 for path, md5 in files.items())


def _has_changed(now: Section, name: str, ran: Mapping[str, Any]) -> bool:
    """Compared as the stage sees them: a default that is written out is no change."""
    recorded = ran.get(name, {}).get("params", {}).get(PARAMS_FILE.name, {}).get(name)
    if recorded is None:
        return False
    try:
        return validate(recorded, type(now), LOCK_FILE) != now
    except ConfigError:  # no settings of today's, so params.yaml, which has been read, says something else
        return True


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).hexdigest()
