"""Which models a registry offers, and a model's versions, for people to choose from; asked as `peek` asks."""

from dataclasses import dataclass, replace
from typing import Any

from cnnClassifier.tracking.connection import Connection
from cnnClassifier.tracking.peek import ask_server, query

NAMES = "SELECT name FROM registered_model_aliases WHERE alias = ? ORDER BY name"
# A deleted version stays as a row, in a stage of its own.
VERSIONS = """
    SELECT version.version, alias.alias, gate.value, promoted.value
    FROM model_versions AS version
    LEFT JOIN registered_model_aliases AS alias ON alias.name = version.name AND alias.version = version.version
    LEFT JOIN model_version_tags AS gate
        ON gate.name = version.name AND gate.version = version.version AND gate.key = 'gate.reason'
    LEFT JOIN model_version_tags AS promoted
        ON promoted.name = version.name AND promoted.version = version.version AND promoted.key = 'promoted.because'
    WHERE version.name = ? AND version.current_stage <> 'Deleted_Internal' ORDER BY version.version DESC
"""
MOST = 200  # models or versions that are listed


@dataclass(frozen=True)
class Version:
    """A registered version: its aliases, what the gate said if it was asked, why somebody promoted it if one did."""

    version: str
    aliases: tuple[str, ...]
    gate: str | None
    promoted: str | None = None


def list_models(connection: Connection, alias: str) -> list[str]:
    """The names of all models that have the alias, in order; TrackingError if the registry does not tell."""
    if connection.is_unused:
        return []
    if connection.artifact_root:
        return [str(name) for (name,) in query(connection, NAMES, (alias,))]
    answer = ask_server(connection, "registered-models/search", {"max_results": MOST})
    models = answer.get("registered_models", [])
    return sorted(model["name"] for model in models if alias in _aliases(model))


def list_versions(connection: Connection, name: str) -> list[Version]:
    """A model's versions, newest first; TrackingError if the registry does not tell."""
    if connection.is_unused:
        return []
    if connection.artifact_root:
        return _gathered(query(connection, VERSIONS, (name,)))
    aliases = _aliases(ask_server(connection, "registered-models/get", {"name": name}).get("registered_model", {}))
    search: dict[str, str | int] = {"filter": f"name='{name}'", "max_results": MOST}
    found = ask_server(connection, "model-versions/search", search).get("model_versions", [])
    rows = sorted(found, key=lambda version: -int(version["version"]))
    return [
        Version(
            version["version"],
            tuple(alias for alias, number in aliases.items() if number == version["version"]),
            *(_tag(version, key) for key in ("gate.reason", "promoted.because")),
        )
        for version in rows
    ]


def _gathered(rows: list[tuple[object, ...]]) -> list[Version]:
    """Versions of rows that hold one alias each."""
    found: dict[str, Version] = {}
    for version, alias, *told in rows:
        gate, promoted = (None if each is None else str(each) for each in told)
        before = found.get(str(version), Version(str(version), (), gate, promoted))
        aliases = sorted([*before.aliases, *([str(alias)] if alias else [])])
        found[str(version)] = replace(before, aliases=tuple(aliases))
    return list(found.values())


def _tag(version: dict[str, Any], key: str) -> str | None:
    return next((tag["value"] for tag in version.get("tags", []) if tag["key"] == key), None)


def _aliases(model: dict[str, object]) -> dict[str, str]:
    """A registered model's aliases, each with its version, as servers write them."""
    found = model.get("aliases", [])
    return {each["alias"]: each["version"] for each in found} if isinstance(found, list) else {}
