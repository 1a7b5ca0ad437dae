"""Write parameters as YAML, for commands that choose them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from cnnClassifier.files import write_text


def write_yaml(content: Mapping[str, Any], path: Path, heading: str) -> None:
    """Write a mapping, its keys in their order, below a comment of one line."""
    write_text(f"# {heading}\n{yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True)}", path)
