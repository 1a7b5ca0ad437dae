"""Which models a registry offers, and a model's versions, for people to choose from; asked as `peek` asks."""

from dataclasses import dataclass

from cnnClassifier.tracking.connection import Connection
from cnnClassifier.tracking.peek import ask_server, query

NAMES = "SELECT name FROM registered_model_aliases WHERE alias = ? ORDER BY name"
VERSIONS = """
    SELECT version.version, alias.alias, tag.value
    FROM model_versions AS version
    LEFT JOIN registered_model_aliases AS alias ON alias.name = version.name AND alias.version = version.version
    LEFT JOIN model_version_tags AS tag
        ON tag.name = version.name AND tag.version = version.version AND tag.key = 'gate.reason'
    WHERE version.name = ? ORDER BY version.version DESC
"""
MOST = 200  # models or versions that are listed


@dataclass(frozen=True)
class Version:
    """A registered version: its aliases, and what the gate said of it if it was asked."""

    version: str
    aliases: tuple[str, ...]
    gate: str | None


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
            next((tag["value"] for tag in version.get("tags", []) if tag["key"] == "gate.reason"), None),
        )
        for version in rows
    ]


def _gathered(rows: list[tuple[object, ...]]) -> list[Version]:
    """Versions of rows that hold one alias each."""
    aliases: dict[str, tuple[str, ...]] = {}
    gates: dict[str, str | None] = {}
    for version, alias, gate in rows:
        aliases[str(version)] = (*aliases.get(str(version), ()), *([str(alias)] if alias else []))
        gates[str(version)] = str(gate) if gate is not None else None
    return [Version(version, tuple(sorted(aliases[version])), gate) for version, gate in gates.items()]


def _aliases(model: dict[str, object]) -> dict[str, str]:
    """A registered model's aliases, each with its version, as servers write them."""
    found = model.get("aliases", [])
    return {each["alias"]: each["version"] for each in found} if isinstance(found, list) else {}
