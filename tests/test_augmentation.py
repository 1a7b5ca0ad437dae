"""Views: reproducible from seed, image and number; each change within what is configured."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnClassifier import augmentation
from cnnClassifier.augmentation import View, all_views, augment
from cnnClassifier.config.network import PreprocessingSpec
from cnnClassifier.config.types import AugmentationConfig
from cnnClassifier.preprocessing import preprocess
from pictures import encode, noise

NOTHING = AugmentationConfig(views=3, rotation=0, zoom=0, shift=0, horizontal_flip=False, brightness=0, contrast=0)
IMAGE = hashlib.sha256(b"image").hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()


def only(**change: object) -> AugmentationConfig:
    return NOTHING.model_copy(update=change)


def disc(size: int = 41, radius: float = 12.0, row: float = 20.0, column: float = 20.0) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size]
    inside = (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
    return np.repeat(np.where(inside, 200, 0)[..., None], 3, axis=-1).astype(np.float32)


def colours(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 255, (24, 32, 3)).astype(np.float32)


def draws(config: AugmentationConfig, pixels: np.ndarray, count: int = 40) -> list[np.ndarray]:
    return [augment(pixels, config, np.random.default_rng(seed)) for seed in range(count)]


def centre(pixels: np.ndarray) -> np.ndarray:
    grey = pixels[..., 0]
    return np.array([(axis * grey).sum() for axis in np.indices(grey.shape)]) / grey.sum()


def test_the_first_view_is_the_image_itself():
    views = all_views(AugmentationConfig(views=3), seed=1)
    assert [view.number for view in views] == [0, 1, 2, 3]
    np.testing.assert_array_equal(views[0].apply(colours(), IMAGE), colours())
    assert not np.array_equal(views[1].apply(colours(), IMAGE), colours())


def test_a_view_of_an_image_is_always_the_same():
    view = View(2, seed=5, config=AugmentationConfig(views=2))
    np.testing.assert_array_equal(view.apply(colours(), IMAGE), view.apply(colours(), IMAGE))


def test_views_differ_between_images_numbers_and_seeds():
    config = AugmentationConfig(views=2)
    made = [View(n, s, config).apply(colours(), image) for n in (1, 2) for s in (1, 2) for image in (IMAGE, OTHER)]
    assert len({pixels.tobytes() for pixels in made}) == 8


def test_a_view_of_a_file_is_that_of_its_preprocessed_pixels():
    data, spec = encode(noise(0, 40)), PreprocessingSpec(image_size=32)
    for view in all_views(AugmentationConfig(views=1), seed=1):
        expected = view.apply(preprocess(data, spec), IMAGE)
        np.testing.assert_array_equal(view.prepare(data, spec, IMAGE), expected)


def test_an_edit_of_the_code_that_draws_views_renames_all_but_the_image_itself(monkeypatch):
    views = all_views(AugmentationConfig(views=1), seed=1)
    before = [view.key for view in views]
    monkeypatch.setattr(augmentation, "code_digest", lambda _: "edited")
    after = [view.key for view in views]
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_equal_keys_mean_equal_pixels():
    key = View(1, 1, AugmentationConfig(views=2)).key
    assert View(1, 1, AugmentationConfig(views=9)).key == key  # how many others there are changes nothing
    assert View(0, 1, NOTHING).key == View(0, 2, AugmentationConfig()).key
    others = [View(2, 1, AugmentationConfig()), View(1, 2, AugmentationConfig()), View(1, 1, only(zoom=0.2))]
    assert key not in {view.key for view in others}


def test_without_changes_a_view_is_the_image():
    np.testing.assert_allclose(augment(colours(), NOTHING, np.random.default_rng(0)), colours(), atol=1e-3)


def test_a_flip_is_the_mirror_image_and_comes_half_the_time():
    made = draws(only(horizontal_flip=True), colours(), 60)
    mirrored = [np.allclose(view, colours()[:, ::-1], atol=1e-3) for view in made]
    plain = [np.allclose(view, colours(), atol=1e-3) for view in made]
    assert all(a != b for a, b in zip(mirrored, plain, strict=True))
    assert 15 <= sum(mirrored) <= 45


def test_a_shift_moves_by_at_most_its_share_in_both_directions():
    moves = np.array([centre(view) - 20 for view in draws(only(shift=0.1), disc(radius=6))])
    assert np.abs(moves).max() <= 4.1
    assert (moves.min(axis=0) < -2).all()
    assert (moves.max(axis=0) > 2).all()


def test_a_rotation_turns_about_the_centre_and_no_further_than_configured():
    start = disc(radius=4, row=8)
    for view in draws(only(rotation=30), start):
        row, column = centre(view) - 20
        assert np.hypot(row, column) == pytest.approx(12, abs=0.3)
        assert abs(np.degrees(np.arctan2(column, -row))) <= 30.5


def test_a_zoom_changes_the_area_by_at_most_its_share():
    area = disc().sum()
    ratios = [view.sum() / area for view in draws(only(zoom=0.2), disc())]
    assert 0.6 < min(ratios) < 0.85
    assert 1.15 < max(ratios) < 1.48


def test_brightness_lifts_all_pixels_alike():
    flat = np.full((4, 4, 3), 100, dtype=np.float32)
    lifts = np.array([view - flat for view in draws(only(brightness=0.1), flat)])
    assert np.ptp(lifts, axis=(1, 2, 3)).max() < 1e-3
    assert -25.5 <= lifts.min() < -10 < 10 < lifts.max() <= 25.5


def test_contrast_stretches_about_mid_grey():
    pixels = np.float32([[[77.5] * 3, [127.5] * 3, [177.5] * 3]])
    spans = [view[0, 2, 0] - view[0, 0, 0] for view in draws(only(contrast=0.2), pixels)]
    assert all(view[0, 1, 0] == pytest.approx(127.5, abs=1e-3) for view in draws(only(contrast=0.2), pixels))
    assert 80 <= min(spans) < 90 < 110 < max(spans) <= 120


def test_noise_has_at_most_its_deviation_and_is_alike_in_all_channels():
    made = [view - 127 for view in draws(only(noise=8), np.full((40, 40, 3), 127, dtype=np.float32))]
    deviations = [float(each.std()) for each in made]
    assert min(deviations) < 2
    assert 6 < max(deviations) < 8.5
    assert all(np.ptp(each, axis=-1).max() == 0 for each in made)


def test_grey_stays_grey_and_the_image_given_is_left_alone():
    pixels = disc()
    before = pixels.copy()
    view = augment(pixels, AugmentationConfig(), np.random.default_rng(3))
    assert np.ptp(view, axis=-1).max() == 0
    np.testing.assert_array_equal(pixels, before)


@given(
    config=st.builds(
        AugmentationConfig,
        views=st.just(1),
        rotation=st.floats(0, 180),
        zoom=st.floats(0, 0.9),
        shift=st.floats(0, 0.9),
        brightness=st.floats(0, 0.9),
        contrast=st.floats(0, 0.9),
        noise=st.floats(0, 64),
    ),
    seed=st.integers(0, 2**32),
)
def test_any_view_keeps_shape_type_and_range(config, seed):
    view = View(1, seed, config).apply(colours(), IMAGE)
    assert view.shape == colours().shape
    assert view.dtype == np.float32
    assert 0 <= view.min() <= view.max() <= 255
