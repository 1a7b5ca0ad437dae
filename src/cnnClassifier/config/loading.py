"""The only reader of YAML: a file becomes a validated, frozen type, or one line that says why not."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from box import Box
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from cnnClassifier.config.section import Section
from cnnClassifier.config.types import ProjectConfig, Settings
from cnnClassifier.errors import ConfigError

PARAMS_FILE = Path("params.yaml")
PROJECT_FILE = Path("config/config.yaml")
EXPERIMENTS = Path("config/experiments")
OVERLOOKED = ("size", "nfiles")  # dvc.stage.cache takes them for facts about files, wherever they stand

MERGE = "tag:yaml.org,2002:merge"

SectionT = TypeVar("SectionT", bound=Section)


class OnceOnlyLoader(yaml.SafeLoader):
    """YAML's own rule, which PyYAML does not hold: a key stands once in its mapping. The last one would win."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """The mapping as it stands, before anchors are merged into it; ComposerError for a key that stands twice."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != MERGE:
                if (key.tag, key.value) in seen:
                    raise yaml.composer.ComposerError(None, None, f"{key.value} stands twice", key.start_mark)
                seen.add((key.tag, key.value))
        return node


def load_settings(path: Path = PARAMS_FILE) -> Settings:
    """Read an experiment's parameters; raise ConfigError naming file and key."""
    content = read_yaml(path)
    if overlooked := [key for key in _dotted(content) if key.rpartition(".")[2] in OVERLOOKED]:
        raise ConfigError(
            f"{path}: {', '.join(overlooked)}: DVC does not look at keys of this name when it takes results from its "
            "cache of runs, so those of another value would be taken; use another name (`image_size` for pixels)"
        )
    return validate(content, Settings, path)


def load_released_settings(path: Path) -> Settings:
    """The same of a release, which may be older than a name of today."""
    return validate(read_yaml(path), Settings, path)


def load_project(path: Path = PROJECT_FILE) -> ProjectConfig:
    """Read config/config.yaml; raise ConfigError naming file and key."""
    return validate(read_yaml(path), ProjectConfig, path)


def read_yaml(path: Path) -> Box:
    """Read a YAML mapping with dot access; raise ConfigError when it is missing or malformed."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; run from the project's root or create it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text: {error}") from None
    return parse_yaml(text, path)


def parse_yaml(text: str, source: Path) -> Box:
    """A text's YAML mapping with dot access; raise ConfigError, naming its source, when it is none."""
    try:
        content = yaml.load(text, OnceOnlyLoader)  # noqa: S506 a SafeLoader
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{source}: expected a mapping of sections. Received: {type(content).__name__}")
    return Box(content)


def validate(content: Mapping[str, Any], kind: type[SectionT], source: Path) -> SectionT:
    """Turn a YAML mapping into its type; raise ConfigError with every wrong key on one line."""
    try:
        return kind.model_validate(Box(content).to_dict())
    except ValidationError as error:
        faults = "; ".join(_describe(fault) for fault in error.errors())
        raise ConfigError(f"{source}: {faults}") from None


def experiment_file(name: str) -> Path:
    """The parameters of a shipped experiment; raise ConfigError listing those there are."""
    path = EXPERIMENTS / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in EXPERIMENTS.glob("*.yaml")))
        raise ConfigError(f"no experiment {name!r} in {EXPERIMENTS}; there are: {known}")
    return path


def _dotted(content: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """The keys of a mapping and of those in it, with dots between."""
    for key, value in content.items():
        yield f"{above}{key}"
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{above}{key}.")


def _describe(fault: ErrorDetails) -> str:
    if not fault["loc"] and "error" in fault.get("ctx", {}):  # a rule between sections: it names its keys itself
        return str(fault["ctx"]["error"])
    key = ".".join(str(part) for part in fault["loc"]) or "(top level)"
    if fault["type"] == "extra_forbidden":
        return f"{key}: unknown key, is it misspelt?"
    if fault["type"] == "missing":
        return f"{key}: missing"
    said = fault["msg"].removeprefix("Value error, ")
    # Of a whole section the message names what is wrong in it.
    return (
        f"{key}: {said}" if isinstance(fault["input"], Mapping) else f"{key}: {said}. Received: {fault['input']!r:.80}"
    )
