"""Schedules, half precision and several devices: each does what it says, and without them nothing is different."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnClassifier import fitting
from cnnClassifier.compiled_tail import CompiledTail
from cnnClassifier.config.network import HeadConfig, PreprocessingSpec
from cnnClassifier.config.types import PrepareBaseModelConfig, TrainingConfig
from cnnClassifier.errors import ConfigError
from cnnClassifier.export import check_equal, export_package
from cnnClassifier.fit_state import FitState, assign, history_table, values_of
from cnnClassifier.fitting import Examples, make_deterministic
from cnnClassifier.model_spec import ModelSpec
from cnnClassifier.modeling import build_classifier, cut, load_model, save_model
from cnnClassifier.precision import check_precision
from cnnClassifier.schedules import learning_rate
from environment import clean_environment
from pictures import write_picture

CLASSES = 3
SPEC = ModelSpec(
    classes=("a", "b", "c"),
    preprocessing=PreprocessingSpec(image_size=32, body_crop=False),
    backbone="SmallCNN",
    weights="none",
    freeze="none",
)


def config(**changes: Any) -> TrainingConfig:
    settings = {"seed": 1, "epochs": 6, "batch_size": 8, "learning_rate": 0.01, "patience": 9, **changes}
    return TrainingConfig(**settings)


def network(**changes: Any) -> PrepareBaseModelConfig:
    settings = {"seed": 1, "backbone": "SmallCNN", "weights": "none", "freeze": "none", **changes}
    return PrepareBaseModelConfig(**settings, preprocessing=PreprocessingSpec(image_size=32))


def images(count: int = 24) -> Examples:
    pixels = np.random.default_rng(0).uniform(0, 255, (count, 32, 32, 3)).astype(np.float32)
    labels = np.arange(count) % CLASSES
    pixels[labels == 1, :16] = 0
    pixels[labels == 2, :, :16] = 0
    return Examples(lambda rows, _draw: pixels[rows], labels, np.ones(count, np.float32))


def rates(changed: TrainingConfig, losses: list[float]) -> list[float]:
    history = [{"loss": loss, "val_loss": loss} for loss in losses]
    return [learning_rate(changed, history[:epoch]) for epoch in range(len(losses))]


# --- learning rates -----------------------------------------------------------------------


def test_a_constant_rate_is_constant():
    assert rates(config(), [1.0] * 5) == [0.01] * 5


def test_a_cosine_begins_at_the_rate_and_ends_near_nothing():
    found = rates(config(schedule="cosine", epochs=10), [1.0] * 10)
    assert found[0] == 0.01
    assert found[5] == pytest.approx(0.005)
    assert found == sorted(found, reverse=True)
    assert 0 < found[-1] < 0.0003


def test_a_warm_up_rises_to_the_schedule():
    found = rates(config(schedule="cosine", epochs=10, warmup=3), [1.0] * 10)
    assert found[:4] == pytest.approx([0.0025, 0.005, 0.0075, 0.01])
    assert found[4] < found[3]


def test_on_a_plateau_the_rate_is_halved_after_a_third_of_the_patience():
    losses = [1.0, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.8]
    assert rates(config(schedule="plateau"), losses) == pytest.approx([0.01] * 5 + [0.005] * 3 + [0.0025])


def fit_small(folder: Path, name: str, changed: TrainingConfig, **more: Any) -> tuple[Any, FitState]:
    make_deterministic(1)
    tail = cut(build_classifier(network(), CLASSES), "none").tail
    valid = images(12)
    return tail, fitting.fit(CompiledTail(tail, changed), images(), valid, changed, folder / f"{name}.npz", **more)


def test_the_history_tells_the_rates_and_a_later_fit_takes_them(tmp_path):
    changed = config(schedule="cosine", warmup=1)
    _, first = fit_small(tmp_path, "first", changed)
    assert first.rates == [learning_rate(changed, first.history[:epoch]) for epoch in range(6)]
    assert history_table(first).splitlines()[0].endswith("learning_rate")
    shorter = changed.model_copy(update={"epochs": 3})
    _, later = fit_small(tmp_path, "later", shorter, rates=first.rates)
    assert later.rates == first.rates[:3]
    assert later.history == first.history[:3]


def test_a_scheduled_fit_cut_short_ends_as_if_it_had_not_been(tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "CHECKPOINT_SECONDS", 0)
    changed = config(schedule="plateau", patience=3)
    whole, expected = fit_small(tmp_path, "whole", changed)

    def stop(epoch: int, _metrics: Any) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_small(tmp_path, "cut", changed, on_epoch=stop)
    resumed, state = fit_small(tmp_path, "cut", changed)
    assert state.history == expected.history
    assert all(np.array_equal(a, b) for a, b in zip(whole.get_weights(), resumed.get_weights(), strict=True))


# --- half precision -----------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_learns_and_leaves_a_float32_model(tmp_path, precision):
    whole, exact = fit_small(tmp_path, "exact", config(epochs=4))
    halved, state = fit_small(tmp_path, "halved", config(epochs=4, precision=precision))
    assert state.history[-1]["loss"] < state.history[0]["loss"]
    assert state.history != exact.history  # it did compute otherwise
    assert {layer.compute_dtype for layer in halved.layers} == {"float32"}
    assert {weight.dtype for weight in halved.get_weights()} == {np.dtype("float32")}
    assert halved.to_json() == whole.to_json()


def test_a_model_fitted_in_half_precision_is_exported_as_any_other(tmp_path):
    make_deterministic(1)
    model = build_classifier(network(), CLASSES)
    changed = config(epochs=2, precision="mixed_bfloat16")
    fitting.fit(CompiledTail(cut(model, "none").tail, changed), images(), None, changed, tmp_path / "c.npz")
    (tmp_path / "package").mkdir()
    export_package(model, SPEC, tmp_path / "package", None)
    assert check_equal(model, tmp_path / "package", [write_picture(tmp_path / "a.png", 1)], 1e-4) < 1e-4


def test_half_precision_is_warned_of_where_only_the_head_learns(caplog):
    model = build_classifier(network(freeze="all"), CLASSES)
    check_precision("mixed_bfloat16", model, cut(model, "all"))
    assert "brings nothing with `freeze: all`" in caplog.text


def test_float16_is_refused_where_activations_are_squared():
    model = build_classifier(network(head=HeadConfig(pooling="deviation")), CLASSES)
    with pytest.raises(ConfigError, match="mixed_bfloat16"):
        check_precision("mixed_float16", model, cut(model, "none"))
    check_precision("mixed_bfloat16", model, cut(model, "none"))


# --- several devices ----------------------------------------------------------------------

ON_TWO_DEVICES = """
import json, sys
from pathlib import Path
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

from cnnClassifier.distribution import over_devices
from cnnClassifier.modeling import load_model, save_model
from test_training_comfort import fit_head

folder = Path(sys.argv[1])
strategy = over_devices()
with strategy.scope():
    model, spec = load_model(folder / "base")
state = fit_head(model, folder / "two.npz", sys.argv[2])
save_model(model, spec, folder / "two")
print(json.dumps({"replicas": strategy.num_replicas_in_sync, "history": state.history}))
"""


def fit_head(model: Any, checkpoint: Path, precision: str = "float32") -> FitState:
    """22 examples in batches of 7: of the last, which is one, nothing is left for a second device."""
    tail = cut(model, "all").tail
    draw = np.random.default_rng(0)
    features = draw.normal(size=(22, tail.input.shape[1])).astype(np.float32)
    labels = features[:, :CLASSES].argmax(axis=1)
    examples = Examples(lambda rows, _draw: features[rows], labels, draw.uniform(0.5, 2, 22).astype(np.float32))
    changed = config(batch_size=7, schedule="cosine", weight_decay=0.01, precision=precision)
    return fitting.fit(CompiledTail(tail, changed), examples, examples, changed, checkpoint)


def save_base(folder: Path) -> Any:
    make_deterministic(1)
    model = build_classifier(network(freeze="all", head=HeadConfig(hidden_units=8)), CLASSES)
    save_model(model, SPEC, folder / "base")
    return model


def fit_on_two_devices(folder: Path, precision: str = "float32") -> list[dict[str, float]]:
    """The history of a fit of `folder`/base, which is saved as `folder`/two."""
    done = subprocess.run(
        [sys.executable, "-c", ON_TWO_DEVICES, str(folder), precision],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**clean_environment(), "PYTHONPATH": ":".join([str(Path(__file__).parent), *filter(None, sys.path)])},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    together = json.loads(done.stdout.splitlines()[-1])
    assert together["replicas"] == 2
    return together["history"]


def test_two_devices_give_what_one_gives(tmp_path):
    model = save_base(tmp_path)
    alone = fit_head(model, tmp_path / "one.npz")
    for row, other in zip(alone.history, fit_on_two_devices(tmp_path), strict=True):
        assert other == pytest.approx(row, rel=1e-5)
    spread, _ = load_model(tmp_path / "two")
    assert spread.to_json() == model.to_json()
    for one, two in zip(model.get_weights(), spread.get_weights(), strict=True):
        np.testing.assert_allclose(two, one, atol=1e-5)


def test_two_devices_learn_in_half_precision_where_one_does(tmp_path):
    model = save_base(tmp_path)
    exact = values_of(model.variables)
    alone = {}
    for precision in ("float32", "mixed_bfloat16"):
        assign(model.variables, exact)
        alone[precision] = fit_head(model, tmp_path / f"{precision}.npz", precision).history[-1]["loss"]
    together = fit_on_two_devices(tmp_path, "mixed_bfloat16")[-1]["loss"]
    assert together == pytest.approx(alone["mixed_bfloat16"], rel=1e-2)
    assert together != pytest.approx(alone["float32"], rel=1e-5)
