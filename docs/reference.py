"""Writes the reference pages from what they are about: the configuration's types, the OpenAPI document, the commands.

docs/conf.py calls it before each build, so the pages cannot be older than the code.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import typer.main
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from cnnClassifier.cli import app as command_line
from cnnClassifier.config.types import ProjectConfig, ServingConfig, Settings
from cnnClassifier.errors import ModelError
from cnnClassifier.help_sections import SECTIONS
from cnnClassifier.shipped import HOME
from cnnClassifier.web import ModelHolder, Models, create_app

NOTE = "Written by docs/reference.py from {source}; do not edit."


def write_references(folder: Path) -> None:
    """Write configuration.md, api.md and commands.md into the folder; a page that would be the same is left alone."""
    folder.mkdir(exist_ok=True)
    pages = {
        "configuration.md": _page("Configuration", "src/cnnClassifier/config/", _configuration()),
        "api.md": _page("HTTP API", "the OpenAPI document, /api/v1/openapi.json", _api(openapi_document())),
        "commands.md": _page("Commands", "src/cnnClassifier/cli.py", _commands()),
    }
    for name, text in pages.items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def openapi_document() -> dict[str, Any]:
    """What the server answers at /api/v1/openapi.json; no model is needed for it."""

    def nothing() -> Any:
        raise ModelError("none is asked")

    app = create_app(Models(ModelHolder(nothing)), ServingConfig(), HOME)
    document: dict[str, Any] = app.test_client().get("/api/v1/openapi.json").get_json()
    return document


def _page(title: str, source: str, lines: Iterator[str]) -> str:
    return "\n".join([f"% {NOTE.format(source=source)}", "", f"# {title}", "", *lines]).rstrip() + "\n"


# --- configuration ------------------------------------------------------------------------


def _configuration() -> Iterator[str]:
    yield "A key that is misspelt, missing or out of range is an error that names the file and the key."
    yield from ("", "## params.yaml and config/experiments/", "")
    yield from _sections(Settings, "")
    yield from ("## config/config.yaml", "")
    yield from _sections(ProjectConfig, "")


def _sections(kind: type[BaseModel], path: str) -> Iterator[str]:
    """A heading, the docstring and a table of keys for each block of YAML, those inside it after it."""
    if path:
        yield from (f"### {path}", "", *_docstring(kind), "", "| key | value | default |", "|---|---|---|")
        yield from (_row(name, field) for name, field in kind.model_fields.items())
        yield ""
    for name, field in kind.model_fields.items():
        for inner in _models_in(field.annotation):
            yield from _sections(inner, f"{path}.{name}".lstrip(".") + _kind_of(inner))


def _kind_of(kind: type[BaseModel]) -> str:
    """` (kind: folder)` for one of several blocks that a key may hold."""
    field = kind.model_fields.get("kind")
    options = getattr(field.annotation, "__args__", ()) if field else ()
    return f" (kind: {options[0]})" if options else ""


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models_in(part)]


def _docstring(kind: type[BaseModel]) -> list[str]:
    return [line.strip() for line in (kind.__doc__ or "").strip().splitlines()]


def _row(name: str, field: FieldInfo) -> str:
    default = "**required**" if field.is_required() else _code(_default(field))
    limits = ", ".join(_code(str(limit)) for limit in field.metadata if not hasattr(limit, "discriminator"))
    kind = _code(_type_name(field.annotation)) + (f", {limits}" if limits else "")
    return f"| `{name}` | {kind} | {default} |"


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return ""
    return "as below" if isinstance(value, BaseModel) else str(value)


def _type_name(annotation: Any) -> str:
    if isinstance(annotation, type) and not getattr(annotation, "__args__", None):
        return annotation.__name__
    return str(annotation).replace("typing.", "").replace("pathlib.", "").replace("cnnClassifier.config.", "")


# --- API ----------------------------------------------------------------------------------


def _api(document: dict[str, Any]) -> Iterator[str]:
    yield f"{document['info']['description']} OpenAPI {document['openapi']}; a page to try it is at `/api/v1/docs`."
    yield "[Serving](../serving.md) says how it behaves under load, and who may ask."
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield from ("", f"## {method.upper()} {path}", "", operation.get("summary") or "")
            yield from ("", *(operation.get("description") or "").splitlines(), "")
            if operation.get("parameters"):
                yield from ("| query or path | type | meaning |", "|---|---|---|")
                yield from map(_parameter, operation["parameters"])
                yield ""
            body = operation.get("requestBody", {}).get("content", {})
            if body:
                yield from ("Bodies: " + ", ".join(f"`{kind}`" for kind in body) + ".", "")
            yield from ("| status | answer |", "|---|---|")
            yield from (_answer(status, answer) for status, answer in operation["responses"].items())
    yield from ("", "## Types", "")
    for name, schema in document["components"]["schemas"].items():
        yield from (f"### {name}", "", *(schema.get("description") or "").splitlines(), "")
        if schema.get("properties"):
            yield from ("| field | type | meaning |", "|---|---|---|")
            yield from (
                f"| `{field}` | {_code(_schema(value))} | {_cell(value.get('description') or '')} |"
                for field, value in schema["properties"].items()
            )
            yield ""


def _parameter(parameter: dict[str, Any]) -> str:
    meaning = parameter.get("description") or parameter.get("schema", {}).get("description") or ""
    return f"| `{parameter['name']}` | {_code(_schema(parameter.get('schema', {})))} | {_cell(meaning)} |"


def _answer(status: str, answer: dict[str, Any]) -> str:
    contents = answer.get("content", {}).items()
    kinds = ", ".join(f"`{kind}` {_schema(content.get('schema', {}))}" for kind, content in contents)
    return f"| {status} | {_cell(answer.get('description') or '')}{': ' if kinds else ''}{_cell(kinds)} |"


def _schema(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(_schema(option) for option in options)
    if "enum" in schema:
        return " or ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_schema(schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type") or "")


# --- commands -----------------------------------------------------------------------------


def _commands() -> Iterator[str]:
    group = typer.main.get_command(command_line)
    yield "`python main.py` in a clone and `cnnclassifier` where the package is installed are the same program."
    yield "[From the command line](../command_line.md) tells more about train, predict and evaluate."
    yield from ("", "## Without a command", "", *_command(group, "python main.py"))
    for section, names in SECTIONS.items():
        yield from ("", f"## {section}")
        for name in names:
            command = getattr(group, "commands")[name]  # noqa: B009
            yield from ("", f"### {name}", "", *_command(command, f"python main.py {name}"))


def _command(command: click.Command, called: str) -> Iterator[str]:
    """The help, the usage and a table of options."""
    context = click.Context(command, info_name=called)
    yield from (*(line.strip() for line in (command.help or "").splitlines()), "")
    yield from ("```text", command.get_usage(context), "```", "")
    options = [each.get_help_record(context) for each in command.get_params(context)]
    rows = [record for record in options if record and record[0] != "--help"]
    if rows:
        yield from ("| option | meaning |", "|---|---|")
        yield from (f"| {_code(option)} | {_cell(meaning)} |" for option, meaning in rows)


def _code(text: str) -> str:
    return f"`{_cell(text)}`" if text else ""


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
