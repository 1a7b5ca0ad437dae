import pytest
from finished_project import EPOCHS

from cnnClassifier.config.types import Paths, Settings
from cnnClassifier.errors import TrackingError
from cnnClassifier.tracking import stages
from cnnClassifier.tracking.values import Step


def test_every_stage_of_the_settings_has_its_files():
    assert list(stages.STAGES) == list(Settings.model_fields)


@pytest.mark.parametrize("stage", stages.STAGES)
def test_the_files_are_named_as_in_paths(stage):
    files = stages.STAGES[stage]
    names = {*files.artifacts, *files.metrics, files.history, files.dataset} - {None}
    assert {name.partition("/")[0] for name in names} <= set(Paths.model_fields)


def test_artifacts_stand_under_their_stage(paths):
    placed = [(artifact.folder, artifact.file.name) for artifact in stages.artifacts("evaluation", paths)]
    assert placed == [
        ("evaluation", "metrics.json"),
        ("evaluation/plots", "roc.csv"),
        ("evaluation", "predictions.csv"),
        ("evaluation", "decision.json"),
    ]


def test_history_gives_its_numbers_by_epoch(paths):
    assert stages.steps("training", paths) == [
        Step(name, epoch, row[name]) for epoch, row in enumerate(EPOCHS) for name in ("loss", "val_loss")
    ]


def test_a_history_cut_short_is_an_error_with_its_line(paths):
    paths.history.write_text("epoch,loss\n0,1.0\n,0.5\n")
    with pytest.raises(TrackingError, match=r"history\.csv, line 3: no epoch number"):
        stages.steps("training", paths)


def test_numbers_of_the_audit_and_of_the_base_model_have_prefixes(paths):
    assert stages.metrics("data_audit", paths) == {"audit.copies.across_splits": 3.0}
    assert stages.metrics("prepare_base_model", paths) == {"parameters.total": 12.0, "parameters.trainable": 4.0}


@pytest.mark.parametrize("content", ["{", "[1]"])
def test_metrics_that_are_no_json_object_are_an_error(paths, content):
    paths.metrics.write_text(content)
    with pytest.raises(TrackingError, match=r"metrics\.json"):
        stages.metrics("evaluation", paths)


def test_the_digest_changes_with_any_file_of_the_stage(paths):
    before = stages.files_digest("evaluation", paths)
    assert stages.files_digest("evaluation", paths) == before
    (paths.evaluation_plots / "roc.csv").write_text("other")
    assert stages.files_digest("evaluation", paths) != before


def test_the_manifest_is_counted_by_split(paths):
    assert stages.row_counts(paths.manifest) == {"num_rows": 3, "num_test": 1, "num_train": 2}


def test_missing_files_are_listed(paths):
    paths.predictions.unlink()
    assert stages.missing_files("evaluation", paths) == [paths.predictions]
    assert stages.missing_files("training", paths) == []


def test_an_unknown_stage_is_an_error_that_lists_the_known():
    with pytest.raises(TrackingError, match=r"expected one of data_ingestion, .*'trainning'"):
        stages.artifacts("trainning", None)
