"""Writes the card, as Markdown and as an HTML page, from the templates beside this file.

Everything said comes from settings, audit and metrics; what they do not hold is left out. After Mitchell et al. 2019,
"Model Cards for Model Reporting".
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jinja2 import ChainableUndefined, Environment, FileSystemLoader, Template, select_autoescape
from markdown_it import MarkdownIt

from cnnClassifier import DISCLAIMER
from cnnClassifier.config.types import RegistrationConfig
from cnnClassifier.files import write_text
from cnnClassifier.fit_state import FitState
from cnnClassifier.mean_precision import mean_precision
from cnnClassifier.model_spec import CARD_FILE, ModelSpec

MARKDOWN, HTML = "model_card.md", CARD_FILE
TEMPLATES = Path(__file__).parent
PROTOCOLS = {
    "published": "the test split: the source's own, or drawn by whole groups where it has none",
    "without_exact_copies": "the same, without images whose pixels are also in training",
    "deduplicated": "the same, without exact and near copies of training images",
    "grouped_cv": "cross-validation: all images of a group (patient or scan) are held out at once",
}
SPECIAL = str.maketrans({sign: f"\\{sign}" for sign in "\\`*[]<>&|#"} | {"\n": " "})


@dataclass(frozen=True)
class Registered:
    """What only registration knows; `version`, `champion` and `reason` are None before the gate has decided."""

    date: str
    run_id: str
    commit: str | None = None
    version: int | None = None
    champion: bool | None = None
    reason: str | None = None


def write_card(
    folder: Path,
    config: RegistrationConfig,
    spec: ModelSpec,
    audit: Mapping[str, Any],
    metrics: Mapping[str, Any],
    registered: Registered,
    pictures: Mapping[str, Path] = MappingProxyType({}),
    search: FitState | None = None,
) -> None:
    """Write model_card.md and model_card.html, one file that needs nothing else, from audit.json and metrics.json.

    `pictures` (PNG files by caption) stand at the end of the page; those that are not there are left out. `search` is
    the fit that early stopping watched, if there was one.
    """
    text = card_text(config, spec, audit, metrics, registered, search)
    write_text(text, folder / MARKDOWN)
    shown = {caption: file.read_bytes() for caption, file in pictures.items() if file.is_file()}
    write_text(as_page(text, f"Model card: {config.name}", shown), folder / HTML)


def card_text(
    config: RegistrationConfig,
    spec: ModelSpec,
    audit: Mapping[str, Any],
    metrics: Mapping[str, Any],
    registered: Registered,
    search: FitState | None = None,
) -> str:
    """The card as Markdown."""
    protocols = {name: meaning for name, meaning in PROTOCOLS.items() if name in metrics}
    main = config.metric.partition(".")[0]
    return _template(MARKDOWN).render(
        audit=audit,
        classes=spec.classes,
        config=config,
        disclaimer=DISCLAIMER,
        main=main if main in protocols else next(iter(protocols), None),
        metrics=metrics,
        protocols=protocols,
        registered=registered,
        search=search,
        spec=spec,
        with_rates=[name for name in protocols if "any_positive" in metrics[name]],
    )


def as_page(markdown: str, title: str, pictures: Mapping[str, bytes] = MappingProxyType({})) -> str:
    """Markdown as a page with its style and PNG pictures inside; raw HTML in the text is shown, not obeyed."""
    body: str = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    encoded = {caption: base64.b64encode(png).decode() for caption, png in pictures.items()}
    return _template(HTML).render(title=title, body=body, pictures=encoded)


def _template(name: str) -> Template:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(),  # by the file's name: HTML is escaped, Markdown by `_plain`
        undefined=ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"interval": _interval, "number": _number, "percent": _percent, "plain": _plain}
    environment.filters["mean_precision"] = mean_precision
    return environment.get_template(name)


def _interval(metric: Any) -> str:
    """A metric with its limits, as 0.921 (0.889-0.950)."""
    if not isinstance(metric, Mapping):
        return _number(metric)
    if metric.get("low") is None or metric.get("high") is None:
        return _number(metric.get("value"))
    return f"{_number(metric['value'])} ({_number(metric['low'])}-{_number(metric['high'])})"


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, int | float) else "unknown"


def _percent(value: Any) -> str:
    """A share of 1 as a percentage without empty decimals."""
    return f"{100 * value:.4g} %" if isinstance(value, int | float) else "unknown"


def _plain(text: object) -> str:
    """Text that may not act as Markdown, in one line: it comes from data and settings."""
    return str(text).translate(SPECIAL)
