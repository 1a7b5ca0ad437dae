"""Makes the winner's parameters the active ones; the pipeline then trains, checks and registers it as any other."""

import logging
from pathlib import Path
from typing import Any

from cnnClassifier.config.loading import load_settings, read_yaml
from cnnClassifier.config.writing import write_yaml
from cnnClassifier.errors import ConfigError
from cnnClassifier.selection.plan import Candidate
from cnnClassifier.sweep.space import leaves, merged, text_of

log = logging.getLogger(__name__)


def take_over(best: Candidate, params: Path) -> None:
    """Write the candidate's values into a params.yaml and say what has changed; nothing where it changes nothing."""
    if not best.values:
        log.info("%s is what %s says already", best.name, params)
        return
    before: dict[str, Any] = read_yaml(params).to_dict()
    tree = merged(before, _nested(best.values))
    write_yaml(tree, params, f"Written by `python main.py compare`: {best.name}, the best candidate.")
    if load_settings(params) != best.settings:
        write_yaml(before, params, "As before `python main.py compare`.")
        raise ConfigError(f"{params}: was changed while candidates were compared; run `python main.py compare` again")
    log.info("%s is now %s: %s", params, best.name, ", ".join(f"{k} {text_of(v)}" for k, v in leaves(best.values)))


def _nested(values: dict[str, Any]) -> dict[str, Any]:
    """Values by dotted names as a tree."""
    tree: dict[str, Any] = {}
    for name, value in values.items():
        *sections, key = name.split(".")
        inner: Any = value
        for section in reversed([*sections[1:], key] if sections else []):
            inner = {section: inner}
        top = sections[0] if sections else key
        tree[top] = merged(tree.get(top), inner)
    return tree
