"""The feature store for the terminal: a line a space, the total and the limit."""

import time
from pathlib import Path

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from cnnClassifier.features.spaces import GB, StoredSpace, survey

COLUMNS = ("space", "what it is", "images x views", "MB", "last used")


def store_report(root: Path, limit: float) -> Group:
    """A table of the spaces below the store's folder, the one used last on top; `limit` in bytes."""
    spaces = survey(root)
    table = Table(*COLUMNS, show_edge=False, pad_edge=False)
    for space in reversed(spaces):
        table.add_row(*map(escape, _row(space)))
    return Group(table, f"\n{escape(str(root))}: {_total(spaces, limit)}")


def _row(space: StoredSpace) -> tuple[str, ...]:
    images, views = space.count()
    used = time.strftime("%Y-%m-%d %H:%M", time.localtime(space.last_used))
    return (
        space.folder.name[:8],
        _tell(space),
        f"{images:,} x {views}",
        f"{space.bytes / 1e6:,.1f}",
        "now" if space.in_use else used,
    )


def _tell(space: StoredSpace) -> str:
    shape = " x ".join(map(str, space.description.get("shape", [])))
    settings = ", ".join(f"{name} {value}" for name, value in space.description.get("preprocessing", {}).items())
    return "; ".join(part for part in (space.network, shape, settings) if part)


def _total(spaces: list[StoredSpace], limit: float) -> str:
    total = sum(space.bytes for space in spaces)
    advice = "; python main.py features --prune makes it smaller" if total > limit else ""
    return f"{len(spaces)} spaces, {total / GB:.2f} GB of {limit / GB:.2f} GB allowed{advice}"
