"""The gate: near to its own kind, far from others, small, repeatable, and measured without its own groups."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnClassifier.errors import DataError, ModelError
from cnnClassifier.metrics.outliers import CURVE, outlier_report
from cnnClassifier.outliers import (
    FEWEST,
    LARGEST,
    build_reference,
    distances,
    fit_outliers,
    held_out_distances,
    held_out_refused,
    load_reference,
    quantile_above,
    save_reference,
)
from cnnClassifier.probes import probes


def own_kind(patients: int, each: int = 4, width: int = 64, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """Features as after a ReLU: one direction for the kind, a little of its own for each patient and image."""
    random = np.random.default_rng(seed)
    kind = np.random.default_rng(99).exponential(size=width)
    patient = random.exponential(0.4, (patients, 1, width))
    images = np.maximum(kind + patient + random.normal(0, 0.1, (patients, each, width)), 0)
    return images.reshape(-1, width).astype(np.float32), [f"p{n}" for n in range(patients) for _ in range(each)]


def other_kind(count: int, width: int = 64) -> np.ndarray:
    return np.random.default_rng(5).exponential(size=(count, width)).astype(np.float32)


def test_its_own_kind_is_near_and_another_is_far():
    gate = fit_outliers(*own_kind(40), share=0.02, seed=1)
    new, _ = own_kind(40, seed=2)
    assert (distances(gate.reference, new) > gate.threshold).mean() <= 0.04
    assert (distances(gate.reference, other_kind(30)) > gate.threshold).all()


def test_a_patient_s_other_images_do_not_make_that_patient_near():
    features, groups = own_kind(30, each=10)
    gate = fit_outliers(features, groups, share=0.02, seed=1)
    assert np.median(gate.held_out) > 2 * np.median(distances(gate.reference, features))


def test_the_promised_share_holds_for_groups_the_fit_never_saw():
    features, groups = own_kind(100)
    assert held_out_refused(features, groups, share=0.05, seed=1) == pytest.approx(0.05, abs=0.03)


@pytest.mark.parametrize(("count", "share", "rank"), [(99, 0.01, 99), (199, 0.01, 198), (20, 0.01, 20), (99, 0.1, 90)])
def test_the_threshold_is_the_conformal_quantile_or_the_largest_distance(count, share, rank):
    assert quantile_above(np.random.default_rng(0).permutation(count) + 1.0, share) == rank


def test_what_has_nothing_in_common_with_training_is_at_the_square_root_of_two():
    reference = build_reference(np.eye(4, dtype=np.float32)[:2], ["a", "b"], seed=0)
    nothing = np.array([[0, 0, 1, 0], [0, 0, 0, 0]], dtype=np.float32)
    np.testing.assert_allclose(distances(reference, nothing), np.sqrt(2), rtol=1e-6)


def test_the_brightness_of_features_does_not_matter_only_their_pattern():
    features, groups = own_kind(20)
    reference = build_reference(features, groups, seed=0)
    np.testing.assert_allclose(distances(reference, features * 7), distances(reference, features), atol=1e-3)


@pytest.mark.parametrize("width", [3, 96, 4096, 50_000])
def test_any_width_works_and_the_reference_stays_small(width):
    features, groups = own_kind(60, each=5, width=width)
    reference = build_reference(features, groups, seed=0)
    assert len(reference.rows) == min(300, max(FEWEST, LARGEST // width))
    assert np.isfinite(distances(reference, features[:5])).all()


def test_a_bounded_reference_holds_as_many_groups_as_fit():
    features, groups = own_kind(FEWEST, each=3, width=50_000)
    reference = build_reference(features, groups, seed=0)
    nearest = (features @ reference.rows.T).argmax(axis=1)
    assert len(set(nearest.tolist())) == FEWEST


def test_the_same_images_give_the_same_gate_and_the_same_file(tmp_path):
    for name in ("one", "two"):
        save_reference(fit_outliers(*own_kind(20), share=0.02, seed=3).reference, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    saved, fresh = load_reference(tmp_path / "one"), build_reference(*own_kind(20), seed=3)
    np.testing.assert_array_equal(saved.rows, fresh.rows)
    np.testing.assert_array_equal(saved.deviation, fresh.deviation)


def test_one_group_is_too_few_to_measure_a_new_one():
    with pytest.raises(DataError, match="at least two groups"):
        held_out_distances(np.ones((4, 3), dtype=np.float32), ["p"] * 4, seed=0)


@pytest.mark.parametrize("content", [b"no archive", b""])
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / "outliers.npz").write_bytes(content)
    with pytest.raises(ModelError, match=r"outliers\.npz: not a reference"):
        load_reference(tmp_path / "outliers.npz")
    with pytest.raises(ModelError, match=r"gone\.npz: no such file"):
        load_reference(tmp_path / "gone.npz")


def test_a_pickle_is_never_run(tmp_path):
    np.savez(tmp_path / "outliers.npz", rows=np.array([Path()], dtype=object), deviation=np.ones(1))
    with pytest.raises(ModelError, match="not a reference"):
        load_reference(tmp_path / "outliers.npz")


def test_the_report_gives_auroc_and_the_curve_of_refusals():
    report = outlier_report(np.arange(100.0), {"far": np.full(10, 200.0), "mixed": np.array([98.5, 0.5])}, threshold=98)
    assert report["own_refused"] == 0.01
    assert report["kinds"]["far"] == {"auroc": 1.0, "refused": 1.0, "images": 10}
    assert report["kinds"]["mixed"]["refused"] == 0.5
    assert len(report["curve"]) == len(CURVE)
    assert [point["own_refused"] for point in report["curve"]] == sorted(p["own_refused"] for p in report["curve"])
    assert all(point["own_refused"] <= share for point, share in zip(report["curve"], CURVE, strict=True))


def test_probes_are_three_kinds_of_readable_pictures_and_the_same_for_a_seed():
    drawn = probes(4, seed=1)
    assert list(drawn) == ["photographs", "plots", "documents"]
    sizes = [Image.open(io.BytesIO(data)).size for pictures in drawn.values() for data in pictures]
    assert len(sizes) == 12
    assert min(map(min, sizes)) > 60
    assert len({data for pictures in drawn.values() for data in pictures}) == 12
    assert probes(4, seed=1) == drawn != probes(4, seed=2)
