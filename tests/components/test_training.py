"""training: base model and audited manifest in; model, history and plots out; a kill costs an epoch or a second."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cnnClassifier import fitting
from cnnClassifier.components.base import NoLog
from cnnClassifier.datasets.manifest import read_manifest
from cnnClassifier.datasets.splits import hold_out
from cnnClassifier.errors import DataError
from cnnClassifier.modeling import digest_weights, load_model
from imports import ROOT
from tiny_pipeline import contents, prepare, train, training

KILLED_IN_EPOCH = 2

# Trains as a stage does, and stands still in an epoch until it is killed.
STANDS_STILL = """
import json, sys, time
from cnnClassifier import fitting
from cnnClassifier.components.training import Training
from cnnClassifier.config.types import Paths, TrainingConfig

class StandStill:
    def log_epoch(self, epoch, metrics):
        if epoch == {epoch} - 1:
            print("epochs done", flush=True)
            time.sleep(600)

fitting.CHECKPOINT_SECONDS = 0
Training(TrainingConfig.model_validate_json(sys.argv[1]), Paths.model_validate_json(sys.argv[2]), StandStill()).run()
"""


class Epochs(NoLog):
    """Remembers which epochs it was told of; pulls the plug after one."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.told: list[int] = []
        self.stop_after = stop_after

    def log_epoch(self, epoch, _metrics):
        self.told.append(epoch)
        if epoch == self.stop_after:
            raise KeyboardInterrupt


def kill_while_training(paths, log: Path, **recipe) -> None:
    """Start the stage in a process of its own and end it by SIGKILL once some epochs are done."""
    script = STANDS_STILL.format(epoch=KILLED_IN_EPOCH)
    command = [sys.executable, "-c", script, training(**recipe).model_dump_json(), paths.model_dump_json()]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with (
        log.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment) as stage,
    ):
        said = stage.stdout.readline() if stage.stdout else ""
        assert said == "epochs done\n", log.read_text()
        stage.send_signal(signal.SIGKILL)
    assert stage.returncode == -signal.SIGKILL


def results(paths) -> dict[str, bytes]:
    """What training writes that DVC hashes and people compare."""
    tables = {"history": paths.history.read_bytes(), "out_of_fold": paths.out_of_fold.read_bytes()}
    return {**contents(paths.model), **tables}


def elsewhere(paths, folder: Path, keep: str = ""):
    """The same data, with other outputs and an empty cache."""
    own = {"base_model", "model", "history", "cache", "training_plots", "tensorboard", "out_of_fold"} - {keep}
    return paths.model_copy(update={name: folder / name for name in own})


def continuing(paths, folder: Path):
    """The same data in another folder, with a copy of what the cache holds."""
    again = elsewhere(paths, folder)
    shutil.copytree(paths.cache, again.cache)
    return again


def epochs_until(last: int, paths, **recipe) -> list[int]:
    """Train and pull the plug when epoch `last` is done; the epochs that were told of."""
    epochs = Epochs(stop_after=last)
    with pytest.raises(KeyboardInterrupt):
        train(paths, epochs, **recipe)
    return epochs.told


@pytest.fixture(scope="module")
def trained(audited, tmp_path_factory):
    """A project after a training of the upper half of a network; do not write to it."""
    paths = elsewhere(audited, tmp_path_factory.mktemp("trained"))
    prepare(paths, freeze="block2_pool", head={"dropout": 0.3})
    train(paths, epochs=3, refit=True)
    return paths


def test_a_killed_training_goes_on_and_ends_as_an_uninterrupted_one(trained, tmp_path):
    killed, resumed = elsewhere(trained, tmp_path, keep="base_model"), Epochs()
    kill_while_training(killed, tmp_path / "log", epochs=3, refit=True)
    train(killed, resumed, epochs=3, refit=True)
    assert resumed.told == [KILLED_IN_EPOCH]
    assert results(killed) == results(trained)


def test_the_same_training_gives_the_same_bytes_and_leaves_no_checkpoint(trained, tmp_path):
    again = elsewhere(trained, tmp_path, keep="base_model")
    train(again, epochs=3, refit=True)
    assert results(again) == results(trained)
    assert not list((again.cache / "checkpoints").iterdir())


@pytest.fixture(scope="module")
def interrupted(audited, tmp_path_factory):
    """A project whose training was stopped in its second epoch; do not write to it."""
    paths = elsewhere(audited, tmp_path_factory.mktemp("interrupted"))
    prepare(paths)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "CHECKPOINT_SECONDS", 0)
        epochs_until(1, paths)
    return paths


@pytest.mark.parametrize(
    "other",
    [
        {"training": {"learning_rate": 0.02}},
        {"model": {"seed": 2}},
        {"model": {"preprocessing": {"contrast": None}}},
    ],
)
def test_a_checkpoint_of_another_training_is_never_taken_up(interrupted, tmp_path, other):
    again = continuing(interrupted, tmp_path)
    prepare(again, **other.get("model", {}))
    assert epochs_until(0, again, **other.get("training", {})) == [0]


def test_the_checkpoint_of_the_same_training_is_taken_up(interrupted, tmp_path):
    again = continuing(interrupted, tmp_path)
    prepare(again)
    assert epochs_until(2, again) == [2]


def test_what_is_frozen_stays_and_what_is_free_moves(trained):
    before, _ = load_model(trained.base_model)
    after, _ = load_model(trained.model)
    moved = {
        one.name
        for one, other in zip(before.layers, after.layers, strict=True)
        if one.weights and digest_weights(one) != digest_weights(other)
    }
    assert moved == {"block3_conv", "block3_bn", "block4_conv", "block4_bn", "logits"}


def test_refitting_also_learns_from_the_held_out_groups(trained, tmp_path):
    again = elsewhere(trained, tmp_path, keep="base_model")
    train(again, epochs=3, refit=False)
    assert again.history.read_bytes() == trained.history.read_bytes()
    assert contents(again.model) != contents(trained.model)


def test_the_history_has_a_row_an_epoch_and_no_timings(trained):
    header, *rows = trained.history.read_text().splitlines()
    assert header == "epoch,accuracy,loss,val_accuracy,val_loss"
    assert [row.split(",")[0] for row in rows] == ["0", "1", "2"]
    assert (trained.training_plots / "history.png").stat().st_size > 5000


def test_another_recipe_reads_its_features_from_the_cache_and_has_a_tensorboard_run_of_its_own(trained, tmp_path):
    again = elsewhere(trained, tmp_path, keep="base_model")
    again = again.model_copy(update={"cache": trained.cache, "tensorboard": trained.tensorboard})
    cached = contents(trained.cache / "features")
    train(again, epochs=1, learning_rate=0.02)
    assert contents(trained.cache / "features") == cached
    for part in ("train", "validation"):
        assert len(list(trained.tensorboard.glob(f"*/{part}/events.out.tfevents.*"))) == 2


def test_groups_are_held_out_whole_and_every_class_is_on_both_sides(audited):
    records = [record for record in read_manifest(audited.audited_manifest) if record.split != "test"]
    fitted, held_out = hold_out(records, 0.25, seed=1)
    assert len(fitted) + len(held_out) == len(records)
    assert not {record.group for record in fitted} & {record.group for record in held_out}
    assert {record.label for record in fitted} == {record.label for record in held_out} == {"disc", "square"}
    assert hold_out(records[::-1], 0.25, seed=1)[1] == held_out[::-1]


def test_a_class_with_one_group_cannot_be_held_out(audited):
    records = read_manifest(audited.audited_manifest)
    alone = next(record.group for record in records if record.label == "disc")
    records = [record for record in records if record.label == "square" or record.group == alone]
    with pytest.raises(DataError, match=r"training.validation: .* class 'disc' .*it has 1, the share held out is 0\.2"):
        hold_out(records, 0.2, seed=1)
