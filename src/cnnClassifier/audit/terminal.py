"""The audit in short for the terminal: the verdict, a line a finding, and where the report is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from cnnClassifier import DISCLAIMER
from cnnClassifier.audit.findings import Findings
from cnnClassifier.audit.sections import Section, tell
from cnnClassifier.files import in_utf8


def terminal_summary(audit: Mapping[str, Any], found: Findings, report: Path) -> Group:
    """What `summarise` and the findings say, in some fifteen lines; `report` is where the page was written."""
    sections = tell(audit, found.records, found.pairs)
    grave = any(section.found and section.grave for section in sections)
    return Group(
        f"[bold {'red' if grave else 'green'}]{escape(audit['verdict'])}[/]",
        _table(sections),
        f"{_counts(audit)}\nReport with pictures: {escape(in_utf8(str(report)))}",
        f"[dim]{DISCLAIMER}[/]",
    )


def _table(sections: list[Section]) -> Table:
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("looked for")
    table.add_column("found")
    for section in sections:
        style = "" if not section.found else "red" if section.grave else "yellow"
        table.add_row(escape(section.title), escape(section.count) if section.found else "-", style=style)
    return table


def _counts(audit: Mapping[str, Any]) -> str:
    splits = ", ".join(f"{split} {count}" for split, count in audit["images"].items() if count)
    labels = next(iter(audit["classes"].values()))
    return escape(
        f"{sum(audit['images'].values())} images ({splits}) of {len(labels)} classes ({', '.join(labels)}) in "
        f"{audit['groups']['count']} groups"
    )
