"""The notebooks of research/: kept without outputs, run from top to bottom, and each shows pictures."""

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from imports import ROOT

NOTEBOOKS = sorted((ROOT / "research").glob("*.ipynb"))
FEWEST_PICTURES = 3


def read(file: Path) -> Any:
    return nbformat.read(file, as_version=4)


def test_there_is_one_for_each_classic_stage():
    assert [file.stem for file in NOTEBOOKS] == [
        "01_data_ingestion",
        "02_base_model",
        "03_training",
        "04_evaluation",
    ]


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_no_outputs_are_kept(file):
    notebook = read(file)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert not any(cell.outputs or cell.execution_count for cell in code)


@pytest.mark.notebooks
@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_it_runs_from_top_to_bottom_and_shows_pictures(file, tmp_path, monkeypatch):
    monkeypatch.setenv("CNNCLASSIFIER_SMALL", "1")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    notebook = read(file)
    NotebookClient(
        notebook, timeout=None, kernel_name="python3", resources={"metadata": {"path": file.parent}}
    ).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= FEWEST_PICTURES
