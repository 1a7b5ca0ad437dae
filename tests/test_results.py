"""The last run's results as the terminal and the README show them."""

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cnnClassifier import DISCLAIMER
from cnnClassifier.config.types import Paths, PreprocessingSpec
from cnnClassifier.errors import DataError
from cnnClassifier.files import write_json
from cnnClassifier.model_spec import ModelSpec, write_spec
from cnnClassifier.results import SHOWN, markdown_table, terminal_report
from ingestion import paths_below


def protocol(images: int, value: float) -> dict[str, Any]:
    return {"images": images, **{name: {"value": value, "low": value - 0.1, "high": 1.0} for name in SHOWN}}


METRICS = {"published": protocol(315, 0.9254), "without_exact_copies": protocol(269, 0.5), "data": {"test_sha256": "x"}}


def finished(root: Path, *, synthetic: bool, champion: bool = True) -> Paths:
    paths = paths_below(root)
    write_json(METRICS, paths.metrics)
    told = {"name": "chest_ct", "version": 3, "champion": champion, "reason": "better by 0.02"}
    write_json(told, paths.registration)
    paths.package.mkdir(parents=True)
    spec = ModelSpec(
        classes=("a", "b"),
        preprocessing=PreprocessingSpec(),
        backbone="VGG16",
        weights="imagenet",
        freeze="all",
        synthetic=synthetic,
    )
    write_spec(spec, paths.package)
    return paths


def printed(paths: Paths) -> str:
    console = Console(width=120)
    with console.capture() as said:
        console.print(terminal_report(paths))
    return said.get()


def test_the_report_says_results_version_and_what_to_type_next(tmp_path):
    text = printed(finished(tmp_path, synthetic=False))
    assert "chest_ct: VGG16, 2 classes" in text
    for words in ("published test split", "315 images", "without exact copies", "269 images"):
        assert words in text
    assert ".925 (.825-1.000)" in text
    assert "Registered chest_ct version 3 (champion): better by 0.02" in text
    assert "make serve" in text
    assert DISCLAIMER.split()[0] in text
    assert "SYNTHETIC" not in text


def test_the_report_of_a_phantom_says_loudly_that_it_is_synthetic(tmp_path):
    assert "SYNTHETIC phantom images" in printed(finished(tmp_path, synthetic=True))


def test_a_model_that_did_not_win_is_called_a_challenger(tmp_path):
    assert "version 3 (challenger)" in printed(finished(tmp_path, synthetic=False, champion=False))


def test_before_the_first_run_the_report_says_what_to_run(tmp_path):
    with pytest.raises(DataError, match=r"registration.json: no results yet; run `python main.py` first"):
        terminal_report(paths_below(tmp_path))


def test_the_markdown_table_has_a_row_for_each_protocol_there_is(tmp_path):
    file = tmp_path / "metrics.json"
    file.write_text(json.dumps({key: METRICS[key] for key in ("published", "data")}))
    table = markdown_table({"chest_ct": file, "twice": file}).splitlines()
    assert table[0] == "| experiment | test images | accuracy | balanced accuracy | macro F1 | macro ROC-AUC |"
    assert table[1] == "|" + " --- |" * 6
    cells = " | ".join([".925 (.825-1.000)"] * 4)
    assert table[2] == f"| chest_ct | 315, published test split | {cells} |"
    assert len(table) == 4
