"""Facts: read off decoded pixels, kept by image, and a hash that survives saving again."""

import io

import numpy as np
import pytest
from PIL import Image

from cnnClassifier.audit.facts import NAMES, Facts, gather_facts, load_facts, look_at, perceptual_hash, save_facts
from cnnClassifier.errors import DataError
from cnnClassifier.preprocessing import decode, to_grey
from pictures import body, encode


def seen(pixels: np.ndarray) -> dict[str, float]:
    return dict(zip(NAMES, look_at(pixels.astype(np.float32))[0], strict=True))


def differing_bits(one: np.ndarray, other: np.ndarray) -> int:
    return (perceptual_hash(one) ^ perceptual_hash(other)).bit_count()


def test_the_border_is_described_side_by_side():
    picture = np.full((20, 30, 1), 100.0)
    picture[:2] = 255
    picture[:, -2:] = 0
    facts = seen(picture)
    assert facts["border.top_white"] == pytest.approx(28 / 30)
    assert (facts["border.right_black"], facts["border.right_mean"]) == (1, 0)
    assert (facts["border.left_least"], facts["border.left_greatest"]) == (100, 255)
    assert facts["border.bottom_std"] == pytest.approx(100 * np.sqrt(2 / 30 * 28 / 30))


def test_the_histogram_is_of_shares_and_colour_counts_by_its_luma():
    picture = np.zeros((10, 10, 3))
    picture[:5] = 255
    facts = seen(picture)
    assert (facts["histogram.0"], facts["histogram.15"], facts["histogram.7"]) == (0.5, 0.5, 0)
    assert facts["picture.brightness"] == pytest.approx(127.5)


def test_a_picture_of_one_pixel_has_facts():
    assert np.isfinite(list(seen(np.full((1, 1, 1), 7.0)).values())).all()


def test_the_hash_survives_compression_size_and_window_but_not_another_picture(clean):
    file = clean.images / clean.records[0].path
    grey = to_grey(decode(file.read_bytes()))
    small = Image.open(file).resize((80, 80), Image.Resampling.BICUBIC)
    again = to_grey(decode(encode(small, "JPEG", quality=60)))
    assert differing_bits(grey, again) <= 4
    assert differing_bits(grey, np.clip(grey * 0.9 + 10, 0, 255)) <= 4
    assert differing_bits(grey, body()[0][..., None]) > 12


def test_facts_stand_in_the_records_order_with_their_files_facts(clean):
    assert list(clean.facts.ids) == [record.id for record in clean.records]
    assert clean.facts.values.dtype == np.float32
    first = clean.records[0]
    assert clean.facts.fact("file.width")[0] == first.width
    assert clean.facts.fact("file.bits_per_pixel")[0] == pytest.approx(8 * first.bytes / first.width / first.height)
    assert {name.split(".")[0] for name in clean.facts.names} == {"file", "border", "histogram", "picture"}
    assert clean.facts.block("histogram").sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_formats_and_modes_have_a_column_each(faulty):
    is_jpeg = np.array([record.format == "JPEG" for record in faulty.records])
    np.testing.assert_array_equal(faulty.facts.fact("file.format_JPEG") == 1, is_jpeg)
    np.testing.assert_array_equal(faulty.facts.fact("file.mode_RGB") == 1, is_jpeg)


def test_facts_do_not_depend_on_the_number_of_threads(clean):
    alone = gather_facts(clean.records, clean.images, workers=1)
    np.testing.assert_array_equal(alone.values, clean.facts.values)
    np.testing.assert_array_equal(alone.phash, clean.facts.phash)


def test_facts_are_kept_and_found_again_for_any_of_the_records(clean, tmp_path):
    save_facts(clean.facts, tmp_path / "facts.npz")
    some = clean.records[::-3]
    kept = load_facts(tmp_path / "facts.npz").of(some)
    assert list(kept.ids) == [record.id for record in some]
    np.testing.assert_array_equal(kept.values, clean.facts.values[::-3])
    np.testing.assert_array_equal(kept.phash, clean.facts.phash[::-3])


def test_an_image_without_facts_is_named(clean):
    facts: Facts = clean.facts.of(clean.records[1:])
    with pytest.raises(DataError, match=f"{clean.records[0].path}: no facts"):
        facts.of(clean.records)


def test_a_missing_or_garbled_file_of_facts_says_what_to_run(tmp_path):
    with pytest.raises(DataError, match=r"run `python main\.py data_audit` first"):
        load_facts(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no facts")
    with pytest.raises(DataError, match=r"text\.npz: not a file of facts"):
        load_facts(tmp_path / "text.npz")


def test_objects_are_never_unpickled(tmp_path):
    stream = io.BytesIO()
    np.savez(stream, ids=np.array([{}], dtype=object), names=np.array([]), values=np.array([]), phash=np.array([]))
    (tmp_path / "facts.npz").write_bytes(stream.getvalue())
    with pytest.raises(DataError, match="not a file of facts"):
        load_facts(tmp_path / "facts.npz")


def test_a_file_that_is_gone_is_named(clean, tmp_path):
    with pytest.raises(DataError, match="could be read before"):
        gather_facts(clean.records[:1], tmp_path)
