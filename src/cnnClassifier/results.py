"""The last run's results as a person wants them: a short table for the terminal, Markdown for README and docs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from cnnClassifier import DISCLAIMER
from cnnClassifier.config.types import Paths
from cnnClassifier.errors import DataError
from cnnClassifier.files import read_json, write_json
from cnnClassifier.finished_run import read_finished
from cnnClassifier.gate import with_way_round
from cnnClassifier.mean_precision import mean_precision
from cnnClassifier.model_spec import read_spec
from cnnClassifier.tracking.standing import Standing

SHOWN = {"balanced_accuracy": "balanced accuracy", "accuracy": "accuracy", "macro_roc_auc": "macro ROC-AUC"}
CONTROLS = {"nearest_neighbour": "1-nearest neighbour", "shortcut": "file facts alone"}
CONTROL_METRIC = "balanced_accuracy"
NOT_TOLD = Standing()
START, END = "<!-- results -->", "<!-- /results -->"
PROTOCOLS = {
    "grouped_cv": "grouped cross-validation",
    "published": "test split",
    "without_exact_copies": "less exact copies",
    "deduplicated": "less all copies",
}


def terminal_report(paths: Paths, standing: Standing = NOT_TOLD) -> Group:
    """Results, registered version and next steps for the terminal; DataError if the pipeline has not run to its end.

    `standing` is what the registry says of the version today.
    """
    registration = read_finished(paths, "metrics")
    metrics = read_json(paths.metrics)
    spec = read_spec(paths.package)
    kind = "[bold yellow]SYNTHETIC images: these numbers say nothing about patients[/]\n" if spec.synthetic else ""
    return Group(
        _table(metrics, title=f"{registration['name']}: {spec.backbone}, {len(spec.classes)} classes"),
        *(f"[yellow]{sentence}[/]" for sentence in metrics["controls"]["verdicts"]),
        f"{kind}Registered {registration['name']} version {registration['version']} {_verdict(registration, standing)}",
        "Next: `make serve` and open http://127.0.0.1:8080, or `make ui` to compare runs",
        f"[dim]{DISCLAIMER}[/]",
    )


def _verdict(registration: Mapping[str, Any], standing: Standing) -> str:
    version, won = registration["version"], registration["champion"] or standing.promoted is not None
    return f"({_place(registration, standing)}): {with_way_round(registration['reason'], won, version)}"


def _place(registration: Mapping[str, Any], standing: Standing) -> str:
    """Champion or challenger, and what a person has made of that since."""
    won = registration["champion"] or standing.promoted is not None
    if won and standing.is_another(registration["version"]):
        return f"champion no longer: {escape(standing.champion_now())}"
    if standing.promoted is not None:
        return f"champion, promoted because: {escape(standing.promoted)}"
    return "champion" if won else "challenger"


def markdown_table(results: Mapping[str, Path], precision: bool = False) -> str:
    """Experiments' metrics.json files as one Markdown table, a row for each protocol; with mean precision if asked."""
    controls = [f"{label}, {SHOWN[CONTROL_METRIC]}" for label in CONTROLS.values()]
    recall, *others = SHOWN.values()
    header = ["experiment", "protocol", "images", recall, *["mean precision"] * precision, *others, *controls]
    rows = [row for name, path in results.items() for row in _markdown_rows(name, read_json(path), precision)]
    return "".join(f"| {' | '.join(row)} |\n" for row in [header, ["---"] * len(header), *rows])


def results_section(folder: Path) -> str:
    """The table of every <experiment>.json in a folder, and where its numbers come from."""
    files = {path.stem: path for path in sorted(folder.glob("*.json"))}
    note = "Each with its 95 % bootstrap interval; written by `make readme` from `docs/results/`, never by hand."
    return f"{markdown_table(files)}\n{note}\n"


def samples_section(folder: Path) -> str:
    """A table of every <experiment>.json of a folder of `keep_sample`, and in its words what each run saw.

    Precision stands beside recall (balanced accuracy): brain_ct_mri asks for the one first and for the other second.
    """
    files = {path.stem: path for path in sorted(folder.glob("*.json"))}
    seen = "".join(f"- {name}: {read_json(path)['seen']}\n" for name, path in files.items())
    return f"{markdown_table(files, precision=True)}\n{seen}"


def keep_sample(metrics: Path, seen: str, path: Path) -> None:
    """Copy metrics.json with words on what the run saw instead of its experiment's whole data."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json({"seen": seen, **read_json(metrics)}, path)


def with_section(text: str, section: str, name: str = "README.md") -> str:
    """A document with what stands between its results markers replaced; DataError if it has none."""
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        raise DataError(f"{name} has no lines {START!r} and {END!r}; put them where the results table belongs")
    return f"{before}{START}\n{section}{END}{after}"


def _table(metrics: Mapping[str, Any], title: str) -> Table:
    """A row a protocol: fits into 80 columns."""
    table = Table(title=title, title_justify="left", title_style="bold", padding=(0, 0, 0, 1))
    table.add_column("")
    for label in ("images", "balanced\naccuracy", "accuracy", "1-nearest\nneighbour"):
        table.add_column(label, justify="right")
    for protocol, label in _present(metrics):
        values = metrics[protocol]
        found = (_cell(values["balanced_accuracy"]), _cell(values["accuracy"]))
        table.add_row(label, str(values["images"]), *found, _control(metrics, protocol, "nearest_neighbour"))
    return table


def _markdown_rows(name: str, metrics: Mapping[str, Any], precision: bool) -> list[list[str]]:
    recall, *others = SHOWN
    kind = " (synthetic)" if metrics["data"].get("synthetic") else ""
    return [
        [
            name + kind,
            label,
            str(metrics[protocol]["images"]),
            _cell(metrics[protocol][recall]),
            *[_short(mean_precision(metrics[protocol]))] * precision,
            *(_cell(metrics[protocol][metric]) for metric in others),
            *(_control(metrics, protocol, control) for control in CONTROLS),
        ]
        for protocol, label in _present(metrics)
    ]


def _control(metrics: Mapping[str, Any], protocol: str, control: str) -> str:
    """What a rule without any learning of disease reaches by the same protocol."""
    return _short(metrics["controls"][protocol][control][CONTROL_METRIC]["value"])


def _present(metrics: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    return [(protocol, label) for protocol, label in PROTOCOLS.items() if protocol in metrics]


def _cell(metric: Mapping[str, float | None]) -> str:
    """A metric with its interval, as .921 (.889-.950), or alone where too few draws tell one."""
    if metric["low"] is None:
        return _short(metric["value"])
    return f"{_short(metric['value'])} ({_short(metric['low'])}-{_short(metric['high'])})"


def _short(value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"{value:.3f}".removeprefix("0")
