"""Change parameters in a YAML text and leave the rest of it, comments and anchors too, as it is."""

import io
from collections.abc import Mapping
from typing import Any

WIDTH = 4096  # no line is broken that was not


def changed_yaml(text: str, changes: Mapping[str, Any]) -> str:
    """A YAML text with new values, by name or dotted names; a mapping among them changes only its own keys."""
    from ruamel.yaml import YAML  # it comes with DVC

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = WIDTH
    yaml.indent(mapping=2, sequence=4, offset=2)  # as the shipped files are written
    yaml.representer.add_representer(type(None), _null)
    content = yaml.load(text)
    _change(content, changes)
    changed = io.StringIO()
    yaml.dump(content, changed)
    return changed.getvalue()


def _change(content: Any, changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        name, dot, inner = key.partition(".")
        change = {inner: value} if dot else value
        if not isinstance(change, Mapping):
            content[name] = change
        elif isinstance(content.get(name), dict):
            _change(content[name], change)
        else:
            content[name] = {}
            _change(content[name], change)


def _null(representer: Any, _: None) -> Any:
    """As the shipped files have it; ruamel writes nothing."""
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")
