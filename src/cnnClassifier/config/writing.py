"""Change parameters in a YAML file and leave the rest of it, comments and anchors too, as it is."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from cnnClassifier.files import write_text

WIDTH = 4096  # no line is broken that was not


def change_yaml(path: Path, changes: Mapping[str, Any]) -> None:
    """Write new values into a mapping in YAML; a mapping among the changes changes only the keys that it has."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = WIDTH
    content = yaml.load(path.read_text(encoding="utf-8"))
    _change(content, changes)
    changed = io.StringIO()
    yaml.dump(content, changed)
    write_text(changed.getvalue(), path)


def _change(content: Any, changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(content.get(key), dict):
            _change(content[key], value)
        else:
            content[key] = value
