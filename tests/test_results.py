"""The last run's results as the terminal and the README show them."""

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cnnClassifier import DISCLAIMER
from cnnClassifier.config.network import PreprocessingSpec
from cnnClassifier.config.types import Paths
from cnnClassifier.errors import DataError
from cnnClassifier.files import read_json, write_json
from cnnClassifier.finished_run import digests
from cnnClassifier.model_spec import WEIGHTS_FILE, ModelSpec, write_spec
from cnnClassifier.results import CONTROLS, SHOWN, keep_sample, markdown_table, samples_section, terminal_report
from cnnClassifier.tracking.registry import RegisteredModel
from cnnClassifier.tracking.standing import Standing
from ingestion import paths_below


def values(value: float) -> dict[str, Any]:
    return {name: {"value": value, "low": value - 0.1, "high": 1.0} for name in SHOWN}


def results(**protocols: tuple[int, float]) -> dict[str, Any]:
    """metrics.json of protocols by their number of images and value; every control reaches half of it."""
    controls = {name: dict.fromkeys(CONTROLS, values(value / 2)) for name, (_, value) in protocols.items()}
    metrics = {name: {"images": images, **values(value)} for name, (images, value) in protocols.items()}
    return {**metrics, "controls": {**controls, "verdicts": [VERDICT]}, "data": {"test_sha256": "x"}}


VERDICT = "published: the 1-nearest-neighbour rule is as good as the model."
METRICS = results(published=(315, 0.9254), without_exact_copies=(269, 0.9), grouped_cv=(600, 0.5))


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


def printed(paths: Paths, width: int = 120, standing: Standing = Standing()) -> str:  # noqa: B008 it cannot change
    console = Console(width=width)
    with console.capture() as said:
        console.print(terminal_report(paths, standing))
    return said.get()


def test_the_report_says_results_version_and_what_to_type_next(tmp_path):
    text = printed(finished(tmp_path, synthetic=False))
    assert "chest_ct: VGG16, 2 classes" in text
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in text.splitlines() if "│" in line]
    assert rows == [
        ["grouped cross-validation", "600", ".500 (.400-1.000)", ".500 (.400-1.000)", ".250"],
        ["test split", "315", ".925 (.825-1.000)", ".925 (.825-1.000)", ".463"],
        ["less exact copies", "269", ".900 (.800-1.000)", ".900 (.800-1.000)", ".450"],
    ]
    assert "Registered chest_ct version 3 (champion): better by 0.02" in text
    assert "make serve" in text
    assert DISCLAIMER.split()[0] in text
    assert "SYNTHETIC" not in text


def test_the_report_says_in_words_where_a_control_comes_near_the_model(tmp_path):
    assert VERDICT in printed(finished(tmp_path, synthetic=False))


def test_the_table_fits_a_narrow_terminal_without_losing_a_figure(tmp_path):
    text = printed(finished(tmp_path, synthetic=False), width=80)
    assert "…" not in text
    for figures in (".500 (.400-1.000)", ".925 (.825-1.000)", ".900 (.800-1.000)"):
        assert text.count(figures) == 2


def test_the_report_of_a_phantom_says_loudly_that_it_is_synthetic(tmp_path):
    assert "SYNTHETIC images" in printed(finished(tmp_path, synthetic=True))


def test_a_model_that_did_not_win_is_called_a_challenger(tmp_path):
    text = " ".join(printed(finished(tmp_path, synthetic=False, champion=False)).split())
    assert 'version 3 (challenger): better by 0.02. `python main.py promote 3 --because "..."` makes it' in text


def test_what_was_promoted_since_is_said_as_it_is_now(tmp_path):
    won, lost = (
        finished(tmp_path / "won", synthetic=False),
        finished(tmp_path / "lost", synthetic=False, champion=False),
    )
    other = RegisteredModel("chest_ct", 1, "r", {"promoted.because": "read [twice]"})
    text = printed(won, standing=Standing(champion=other))
    assert "version 3 (champion no longer: version 1 is, promoted because: read [twice]): better by" in text
    mine = RegisteredModel("chest_ct", 3, "s", {"promoted.because": "by hand"})
    text = printed(lost, standing=Standing("by hand", mine))
    assert "version 3 (champion, promoted because: by hand): better by 0.02\n" in text
    assert "version 3 (champion): " in printed(won, standing=Standing(champion=mine))
    assert "version 3 (challenger): " in printed(lost, standing=Standing(champion=other))


def test_results_of_a_run_that_was_not_finished_are_not_those_of_what_is_registered(tmp_path):
    paths = finished(tmp_path, synthetic=False)
    for file in (paths.out_of_fold, paths.model / WEIGHTS_FILE):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("of the finished run")
    write_json(read_json(paths.registration) | {"files": digests(paths)}, paths.registration)
    assert "Registered chest_ct version 3" in printed(paths)
    write_json(results(published=(315, 0.99)), paths.metrics)
    with pytest.raises(DataError, match=r"metrics.json is of a later run.*chest_ct version 3 is what was registered"):
        terminal_report(paths)


def test_before_the_first_run_the_report_says_what_to_run(tmp_path):
    with pytest.raises(DataError, match=r"registration.json: no results yet; run `python main.py` first"):
        terminal_report(paths_below(tmp_path))


def test_the_markdown_table_has_a_row_for_each_protocol_there_is_and_its_controls(tmp_path):
    one, synthetic = tmp_path / "metrics.json", tmp_path / "phantom.json"
    write_json(METRICS, one)
    write_json({**results(published=(9, 1.0)), "data": {"synthetic": True}}, synthetic)
    header, line, *rows = markdown_table({"chest_ct": one, "phantom": synthetic}).splitlines()
    assert header == (
        "| experiment | protocol | images | balanced accuracy | accuracy | macro ROC-AUC "
        "| 1-nearest neighbour, balanced accuracy | file facts alone, balanced accuracy |"
    )
    assert line == "|" + " --- |" * 8
    cells = " | ".join([".500 (.400-1.000)"] * 3)
    assert rows[0] == f"| chest_ct | grouped cross-validation | 600 | {cells} | .250 | .250 |"
    assert [row.split(" | ")[1] for row in rows[1:3]] == ["test split", "less exact copies"]
    assert rows[3].startswith("| phantom (synthetic) | test split | 9 | 1.000 (.900-1.000) |")
    assert len(rows) == 4


def test_of_samples_precision_is_told_beside_recall(tmp_path):
    metrics = results(published=(9, 1.0))
    of_classes = ({"precision": {"value": value}} for value in (0.25, 0.75, None))
    metrics["published"]["per_class"] = dict(zip("abc", of_classes, strict=True))
    keep_sample(write(tmp_path / "metrics.json", metrics), "nine drawings", tmp_path / "kept/one.json")
    header, _, row, _, seen = samples_section(tmp_path / "kept").splitlines()
    assert "| images | balanced accuracy | mean precision | accuracy |" in header
    assert row.startswith("| one | test split | 9 | 1.000 (.900-1.000) | .500 | 1.000 (.900-1.000) |")
    assert seen == "- one: nine drawings"


def write(path: Path, content: dict[str, Any]) -> Path:
    write_json(content, path)
    return path


def test_a_metric_that_cannot_be_said_is_called_unknown_and_one_without_limits_stands_alone(tmp_path):
    metrics = results(published=(9, 1.0))
    metrics["published"]["macro_roc_auc"] = {"value": None, "low": None, "high": None}
    metrics["published"]["accuracy"] = {"value": 0.75, "low": None, "high": None}
    write_json(metrics, tmp_path / "metrics.json")
    assert "| .750 | unknown |" in markdown_table({"one": tmp_path / "metrics.json"})
