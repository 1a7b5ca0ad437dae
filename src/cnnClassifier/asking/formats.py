"""Answers as a table for people, as JSON for programs and as CSV for spreadsheets."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cnnClassifier import DISCLAIMER
from cnnClassifier.asking.answers import Answer
from cnnClassifier.inference import Classifier
from cnnClassifier.terminal import WIDE
from cnnClassifier.web.tables import harmless

COLUMNS = ("file", "state", "label", "confidence", "prediction_set", "changes", "error", "model", "version")
STYLES = {"answer": "bold", "abstained": "yellow", "refused": "yellow"}


def as_json(answers: Sequence[Answer], classifier: Classifier) -> str:
    """One object: the model, counts, and `results` with a prediction's fields or an `error` for each file."""
    failed = sum(answer.error is not None for answer in answers)
    content = {
        "model": classifier.name,
        "version": classifier.version,
        "classes": classifier.spec.classes,
        "synthetic": classifier.spec.synthetic,
        "disclaimer": DISCLAIMER,
        "answered": len(answers) - failed,
        "failed": failed,
        "results": [_as_object(answer) for answer in answers],
    }
    return json.dumps(content, indent=2) + "\n"


def as_csv(answers: Sequence[Answer], classifier: Classifier, more: Sequence[tuple[str, Sequence[str]]] = ()) -> str:
    """A row a file: its answer and every class's probability, or the error. `more` are columns of a value a file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    classes = classifier.spec.classes
    extra = [name for name, _ in more]
    writer.writerow([*COLUMNS, *extra, *(f"probability of {label}" for label in classes)])
    for row, answer in enumerate(answers):
        values = [harmless(column[row]) for _, column in more]
        writer.writerow([*_known(answer, classifier), *values, *_probabilities(answer, classes)])
    return text.getvalue()


def as_table(answers: Sequence[Answer], classifier: Classifier) -> Table:
    """A row a file, for the terminal."""
    table = Table(title=f"{classifier.name} version {classifier.version}", title_justify="left", title_style="bold")
    table.add_column("file", overflow="fold")
    table.add_column("answer", overflow="fold")
    table.add_column("confidence", justify="right", overflow="fold")
    table.add_column("may be", overflow="fold")
    table.add_column("remarks", overflow="fold")
    for answer in answers:
        table.add_row(Text(answer.file), *_cells(answer))
    return table


def table_text(answers: Sequence[Answer], classifier: Classifier) -> str:
    """The table as plain text."""
    console = Console(file=io.StringIO(), width=WIDE)
    console.print(as_table(answers, classifier))
    written: str = console.file.getvalue()  # type: ignore[attr-defined]
    return written


def _cells(answer: Answer) -> list[Text]:
    if answer.prediction is None:
        return [Text("error", "red"), Text(), Text(), Text(answer.error or "")]
    found = answer.prediction
    said = Text(found.label or found.state, STYLES[found.state])
    # What a model refuses is of none of its classes, whatever their probabilities.
    refused = found.state == "refused"
    confidence, possible = ("", "") if refused else (f"{found.confidence:.1%}", ", ".join(found.prediction_set))
    return [said, Text(confidence), Text(possible), Text("; ".join(found.changes))]


def _as_object(answer: Answer) -> dict[str, Any]:
    if answer.prediction is None:
        return {"file": answer.file, "error": answer.error}
    return {"file": answer.file, "sha256": answer.sha256, **vars(answer.prediction)}


def _known(answer: Answer, classifier: Classifier) -> list[str]:
    file, model = harmless(answer.file), [classifier.name, classifier.version]
    if answer.prediction is None:
        return [file, "error", "", "", "", "", answer.error or "", *model]
    found = answer.prediction
    possible, changes = "; ".join(found.prediction_set), "; ".join(found.changes)
    return [file, found.state, found.label or "", f"{found.confidence:.6f}", possible, changes, "", *model]


def _probabilities(answer: Answer, classes: Sequence[str]) -> list[str]:
    if answer.prediction is None:
        return ["" for _ in classes]
    return [f"{answer.prediction.probabilities[label]:.6f}" for label in classes]
