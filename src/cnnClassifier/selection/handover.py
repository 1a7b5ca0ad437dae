"""Makes the winner's parameters the active ones; the pipeline then trains, checks and registers it as any other."""

import logging
from pathlib import Path

from cnnClassifier.config.loading import load_settings, parse_yaml, validate
from cnnClassifier.config.types import Settings
from cnnClassifier.config.writing import changed_yaml
from cnnClassifier.errors import ConfigError
from cnnClassifier.files import write_text
from cnnClassifier.selection.plan import Candidate
from cnnClassifier.sweep.space import leaves, text_of

log = logging.getLogger(__name__)


def take_over(best: Candidate, params: Path) -> None:
    """Write the candidate's values into a params.yaml and say what has changed; nothing where it changes nothing.

    ConfigError, and nothing is written, where that would not make it the candidate.
    """
    load_settings(params)  # says what is wrong with a file that was broken meanwhile
    before = params.read_text(encoding="utf-8")
    after = changed_yaml(before, best.values) if best.values else before
    if not _says(after, best.settings, params):
        raise ConfigError(f"{params}: was changed while candidates were compared; run `python main.py compare` again")
    if not best.values:
        log.info("%s is what %s says already", best.name, params)
        return
    write_text(after, params)
    log.info("%s is now %s: %s", params, best.name, ", ".join(f"{k} {text_of(v)}" for k, v in leaves(best.values)))


def _says(text: str, settings: Settings, params: Path) -> bool:
    try:
        return validate(parse_yaml(text, params), Settings, params) == settings
    except ConfigError:  # the candidate's values do not go with those that are new
        return False
