"""Makes the winner's parameters the active ones; the pipeline then trains, checks and registers it as any other."""

import logging
from pathlib import Path

from cnnClassifier.config.loading import load_settings
from cnnClassifier.config.writing import change_yaml
from cnnClassifier.errors import ConfigError
from cnnClassifier.files import write_text
from cnnClassifier.selection.plan import Candidate
from cnnClassifier.sweep.space import leaves, text_of

log = logging.getLogger(__name__)


def take_over(best: Candidate, params: Path) -> None:
    """Write the candidate's values into a params.yaml and say what has changed; nothing where it changes nothing."""
    if not best.values:
        log.info("%s is what %s says already", best.name, params)
        return
    before = params.read_text(encoding="utf-8")
    change_yaml(params, best.values)
    if load_settings(params) != best.settings:
        write_text(before, params)
        raise ConfigError(f"{params}: was changed while candidates were compared; run `python main.py compare` again")
    log.info("%s is now %s: %s", params, best.name, ", ".join(f"{k} {text_of(v)}" for k, v in leaves(best.values)))
