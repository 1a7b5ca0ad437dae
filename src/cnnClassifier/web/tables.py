"""A batch as a table for spreadsheets."""

import csv
import io

from cnnClassifier.web.answers import BatchAnswer, BatchItem

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what makes a spreadsheet compute a cell (OWASP, CSV injection)
COLUMNS = (
    "index", "name", "state", "label", "confidence", "prediction_set", "problem", "model", "version", "request_id",
)  # fmt: skip


def as_csv(batch: BatchAnswer) -> str:
    """A row a file: its answer and every class's probability, or the problem with it."""
    classes = next((list(item.answer.probabilities) for item in batch.results if item.answer), [])
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*COLUMNS, *(f"probability of {label}" for label in classes)])
    writer.writerows(_row(item, batch, classes) for item in batch.results)
    return text.getvalue()


def _row(item: BatchItem, batch: BatchAnswer, classes: list[str]) -> list[object]:
    start, end = [item.index, harmless(item.name)], [batch.model, batch.version, batch.request_id]
    if item.answer is None:
        return [
            *start,
            "problem",
            "",
            "",
            "",
            item.problem.detail if item.problem else "",
            *end,
            *("" for _ in classes),
        ]
    answer = item.answer
    given = [answer.state, answer.label or "", f"{answer.confidence:.6f}", "; ".join(answer.prediction_set), ""]
    return [*start, *given, *end, *(f"{answer.probabilities[label]:.6f}" for label in classes)]


def harmless(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell
