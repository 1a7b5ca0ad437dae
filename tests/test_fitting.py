"""A fit is reproducible, stops when it should, and survives a kill."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from cnnClassifier import compiled_tail, fitting
from cnnClassifier.compiled_tail import CompiledTail
from cnnClassifier.config.network import HeadConfig, PreprocessingSpec
from cnnClassifier.config.types import PrepareBaseModelConfig
from cnnClassifier.errors import ModelError
from cnnClassifier.fit_state import FitState, assign, load_state, save_state, values_of
from cnnClassifier.fitting import Examples, standardise
from cnnClassifier.modeling import STANDARDISE, build_classifier, cut
from cnnClassifier.weighting import balanced_weights
from small_fits import CLASSES, UNITS, examples, fit, recipe, tail_of


@pytest.fixture
def checkpoint_each_epoch(monkeypatch):
    monkeypatch.setattr(fitting, "CHECKPOINT_SECONDS", 0)


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


class StopAfterEpoch:
    """Pulls the plug once an epoch has been told of."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.told: list[int] = []

    def __call__(self, epoch: int, _metrics: Any) -> None:
        self.told.append(epoch)
        if epoch == self.epoch:
            raise KeyboardInterrupt


NEVER = -1


def test_the_same_fit_gives_the_same_weights_to_the_byte(tmp_path):
    one, other = tail_of(), tail_of()
    history = fit(one, examples(), examples(20, 1), recipe(), tmp_path / "one").history
    assert fit(other, examples(), examples(20, 1), recipe(), tmp_path / "other").history == history
    assert same(one.get_weights(), other.get_weights())


def test_a_fit_learns_what_can_be_learnt(tmp_path):
    state = fit(tail_of(0), examples(400), examples(100, 1), recipe(epochs=20), tmp_path / "c")
    assert state.best["val_accuracy"] > 0.8


def test_votes_that_all_agree_are_labels_to_the_byte(tmp_path):
    one, other = tail_of(), tail_of()
    train, valid = examples(), examples(20, 1)
    history = fit(one, train, valid, recipe(), tmp_path / "hard").history
    shares = [replace(part, labels=np.eye(CLASSES, dtype=np.float32)[part.labels]) for part in (train, valid)]
    assert fit(other, *shares, recipe(soft_labels=True), tmp_path / "soft").history == history
    assert same(one.get_weights(), other.get_weights())


def test_a_model_of_divided_votes_learns_how_they_were_divided(tmp_path):
    tail, train = tail_of(0), examples(400, learnable=False)
    votes = replace(train, labels=np.tile(np.float32([0.6, 0.3, 0.1]), (400, 1)))
    config = recipe(soft_labels=True, epochs=40, weight_decay=0.0)
    history = fit(tail, votes, votes, config, tmp_path / "c").history
    logits = tail(train.read(np.arange(400), np.random.default_rng(0)))
    np.testing.assert_allclose(keras.ops.softmax(logits).numpy().mean(axis=0), [0.6, 0.3, 0.1], atol=0.03)
    assert history[-1]["accuracy"] > 0.95  # of the class with most votes


def test_early_stopping_leaves_the_weights_of_the_best_epoch(tmp_path):
    tail, valid = tail_of(0), examples(60, 1, learnable=False)
    config = recipe(epochs=40, patience=4, learning_rate=0.1)
    state = fit(tail, examples(40, 0, learnable=False), valid, config, tmp_path / "c")
    losses = [row["val_loss"] for row in state.history]
    assert state.best_epoch == int(np.argmin(losses))
    assert len(losses) == state.best_epoch + 1 + config.patience < config.epochs
    targets = np.eye(CLASSES)[valid.labels]
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    left = float(loss(targets, tail(valid.read(np.arange(60), np.random.default_rng(0)))))
    assert left == pytest.approx(min(losses), abs=1e-5)


@pytest.mark.parametrize("dropout", [0, 0.5])
@pytest.mark.usefixtures("checkpoint_each_epoch")
def test_a_fit_cut_short_ends_as_if_it_had_not_been(tmp_path, dropout):
    whole, resumed = tail_of(dropout), tail_of(dropout)
    expected = fit(whole, examples(), examples(20, 1), recipe(), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(tail_of(dropout), examples(), examples(20, 1), recipe(), tmp_path / "cut", StopAfterEpoch(2))
    told = StopAfterEpoch(NEVER)
    state = fit(resumed, examples(), examples(20, 1), recipe(), tmp_path / "cut", told)
    assert told.told == [3, 4, 5]
    assert state.history == expected.history
    assert same(resumed.get_weights(), whole.get_weights())


def test_between_two_checkpoints_a_kill_costs_epochs_and_never_the_result(tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "CHECKPOINT_SECONDS", 3600)
    whole, resumed, told = tail_of(), tail_of(), StopAfterEpoch(NEVER)
    expected = fit(whole, examples(), examples(20, 1), recipe(), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(tail_of(), examples(), examples(20, 1), recipe(), tmp_path / "cut", StopAfterEpoch(0))
    assert not (tmp_path / "cut").exists()
    assert fit(resumed, examples(), examples(20, 1), recipe(), tmp_path / "cut", told).history == expected.history
    assert told.told == list(range(6))
    assert same(resumed.get_weights(), whole.get_weights())


def test_a_call_for_each_batch_and_one_for_all_give_the_same_to_the_byte(tmp_path, monkeypatch):
    one, other = tail_of(), tail_of()
    history = fit(one, examples(), examples(70, 1), recipe(), tmp_path / "one call").history
    monkeypatch.setattr(compiled_tail, "IN_A_CALL", 1)
    assert CompiledTail(other, recipe()).learn.batches_in_a_call == 1
    assert fit(other, examples(), examples(70, 1), recipe(), tmp_path / "many").history == history
    assert same(one.get_weights(), other.get_weights())


def test_a_compiled_tail_fits_again_as_if_for_the_first_time(tmp_path):
    tail = tail_of()
    model, untrained = CompiledTail(tail, recipe()), values_of(tail.variables)
    first = fitting.fit(model, examples(), examples(20, 1), recipe(), tmp_path / "first")
    fitting.fit(model, examples(seed=5), None, recipe(epochs=3), tmp_path / "other")
    assign(tail.variables, untrained)
    again = fitting.fit(model, examples(), examples(20, 1), recipe(), tmp_path / "again")
    assert again.history == first.history
    assert same(again.best_weights, first.best_weights)


def test_the_arithmetic_is_that_of_keras(tmp_path):
    """Keras' own loop on the same batches, with the same weights of examples and smoothed labels."""
    config = recipe(epochs=1, batch_size=40, label_smoothing=0.1)
    train, valid = weighted(examples()), weighted(examples(20, 1))
    ours, theirs = tail_of(0), tail_of(0)
    state = fit(ours, train, valid, config, tmp_path / "c")
    optimizer = keras.optimizers.AdamW(config.learning_rate, weight_decay=config.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    theirs.compile(optimizer, loss, metrics=["accuracy"], weighted_metrics=[])
    features, targets, weights = batch_of(train)
    theirs.fit(features, targets, 40, sample_weight=weights, validation_data=batch_of(valid), shuffle=False, verbose=0)
    assert state.history[0] == pytest.approx({name: values[0] for name, values in theirs.history.history.items()})
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def weighted(those: Examples) -> Examples:
    return replace(those, weights=balanced_weights(those.labels, CLASSES))


def batch_of(those: Examples) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = np.arange(len(those.labels))
    return those.read(rows, np.random.default_rng(0)), np.eye(CLASSES)[those.labels], those.weights


def test_a_finished_fit_is_taken_as_it_is(tmp_path):
    first, again, told = tail_of(), tail_of(), StopAfterEpoch(NEVER)
    fit(first, examples(), examples(20, 1), recipe(), tmp_path / "c")
    fit(again, examples(), examples(20, 1), recipe(), tmp_path / "c", told)
    assert told.told == []
    assert same(again.get_weights(), first.get_weights())


def test_half_a_checkpoint_is_never_read(tmp_path):
    state = FitState([{"loss": 1.0}], [np.ones(2)], [np.zeros(1)], [np.ones(2)])
    save_state(state, tmp_path / "c.npz")
    (tmp_path / "c.npz.partial").write_bytes(b"killed while writing")
    assert load_state(tmp_path / "c.npz").history == state.history
    assert load_state(tmp_path / "none.npz").history == []


def test_without_validation_all_epochs_are_run_and_the_last_counts(tmp_path):
    state = fit(tail_of(), examples(), None, recipe(epochs=3, patience=1), tmp_path / "c")
    assert (len(state.history), state.best_epoch) == (3, 2)


def test_a_diverging_fit_is_an_error_that_names_the_learning_rate(tmp_path):
    with pytest.raises(ModelError, match=r"diverged in epoch \d+ .* lower training.learning_rate"):
        fit(tail_of(0), examples(), examples(20, 1), recipe(learning_rate=1e30), tmp_path / "c")


def test_frozen_layers_keep_their_weights_and_the_others_move(tmp_path):
    config = PrepareBaseModelConfig(
        seed=1,
        backbone="SmallCNN",
        weights="none",
        freeze="block2_pool",
        head=HeadConfig(hidden_units=4),
        preprocessing=PreprocessingSpec(image_size=32),
    )
    model = build_classifier(config, CLASSES)
    parts = cut(model, config.freeze)
    frozen, free = parts.trunk.get_weights(), {w.path: w.numpy() for w in parts.tail.trainable_weights}
    features = np.random.default_rng(0).normal(size=(24, *parts.tail.input.shape[1:])).astype(np.float32)
    train = Examples(lambda rows, _draw: features[rows], np.arange(24) % CLASSES, np.ones(24, np.float32))
    fit(parts.tail, train, None, recipe(epochs=2), tmp_path / "c")
    assert same(cut(model, config.freeze).trunk.get_weights(), frozen)
    assert all(not np.array_equal(w.numpy(), free[w.path]) for w in parts.tail.trainable_weights)


def test_tensorboard_gets_the_curves_of_this_fit_alone(tmp_path):
    stale = tmp_path / "log" / "train" / "events.of.another"
    stale.parent.mkdir(parents=True)
    stale.touch()
    fit(tail_of(), examples(), examples(20, 1), recipe(epochs=2), tmp_path / "c", tensorboard=tmp_path / "log")
    assert not stale.exists()
    for part in ("train", "validation"):
        (events,) = (tmp_path / "log" / part).iterdir()
        records = [tf.compat.v1.Event.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(events))]
        tags = [value.tag for record in records for value in record.summary.value]
        assert tags.count("epoch_loss") == 2


def test_features_are_standardised_by_training_means_and_deviations():
    features = np.random.default_rng(0).normal(5, 3, (200, UNITS)).astype(np.float32)
    tail = tail_of()
    standardise(tail, features)
    scaled = keras.Model(tail.input, tail.get_layer(STANDARDISE).output).predict(features, verbose=0)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(scaled.std(axis=0), 1, atol=1e-4)


def test_a_unit_that_hardly_ever_fires_is_not_blown_up():
    features = np.random.default_rng(0).normal(size=(200, UNITS)).astype(np.float32)
    features[:, 0] = 0
    features[:, 1] = 1e-4 * (np.arange(200) == 7)
    tail = tail_of()
    standardise(tail, features)
    scaled = keras.Model(tail.input, tail.get_layer(STANDARDISE).output)
    assert np.abs(scaled.predict(np.ones((1, UNITS), np.float32), verbose=0)[0, :2]).max() < 20


def test_units_that_never_fire_do_not_set_the_scale():
    features = np.zeros((200, UNITS), np.float32)
    features[:, 0] = np.random.default_rng(0).normal(size=200)
    tail = tail_of()
    standardise(tail, features)
    scaled = keras.Model(tail.input, tail.get_layer(STANDARDISE).output)
    assert np.abs(scaled.predict(np.ones((1, UNITS), np.float32), verbose=0)).max() < 20


def test_a_tail_without_standardisation_is_left_as_it_is():
    tail = keras.Sequential([keras.Input((UNITS,)), keras.layers.Dense(CLASSES)])
    before = tail.get_weights()
    standardise(tail, np.ones((4, UNITS), np.float32))
    assert same(tail.get_weights(), before)


def test_weights_of_examples_count_in_the_fit(tmp_path):
    train = examples()
    wrong = (train.labels + 1) % CLASSES
    weights = np.repeat([1, 0], 40).astype(np.float32)
    features = train.read(np.arange(40), np.random.default_rng(0))
    twice = np.concatenate([features, features])
    both = Examples(lambda rows, _draw: twice[rows], np.concatenate([train.labels, wrong]), weights)
    state = fit(tail_of(0), both, train, recipe(epochs=60, learning_rate=0.05), tmp_path / "c")
    assert state.best["val_accuracy"] > 0.9


def test_a_checkpoint_is_readable_json_and_arrays(tmp_path):
    fit(tail_of(), examples(), None, recipe(epochs=1), tmp_path / "c.npz")
    with np.load(tmp_path / "c.npz") as arrays:
        assert len(json.loads(str(arrays["history"]))) == 1


def test_the_folder_of_a_checkpoint_is_made(tmp_path: Path):
    fit(tail_of(), examples(), None, recipe(epochs=1), tmp_path / "new" / "c.npz")
    assert (tmp_path / "new" / "c.npz").is_file()
