"""Archives and series on the page: what becomes of their files, and of what cannot be one."""

import io
import zipfile

import pytest
from browser import as_file, choose, choose_all, expect_answer, expect_done, names
from playwright.sync_api import expect
from tiny_model import picture

from ct_files import ct, series, zipped

pytestmark = pytest.mark.browser


def test_an_archive_becomes_its_images_with_their_pictures(page):
    files = {"a/one.png": picture("normal"), "a/two.png": picture(), "a/three.txt": b"only text"}
    choose(page, zipped(files), name="study.zip")
    expect_done(page, "3 images, 1 problem")
    page.get_by_role("tab", name="two.png").click()
    expect_answer(page, "Adenocarcinoma")
    expect(page.get_by_alt_text("The chosen image")).to_be_visible()
    assert page.evaluate("document.getElementById('picture').naturalWidth") == 48


def test_a_broken_archive_is_a_problem_like_another(page):
    choose(page, zipped({"one.png": picture()})[:-30], name="study.zip")
    expect(page.get_by_role("alert")).to_contain_text("archive")


def test_a_series_is_charted_by_slice_and_said_in_numbers(page):
    choose(page, series([0, 0, -1000]), name="series.zip")
    chart = page.get_by_role("img", name="Probability of each class in 3 slices")
    expect(chart).to_be_visible()
    expect(chart.locator("path")).to_have_count(4)
    page.get_by_text("The numbers").click()
    expect(page.locator("#numbers tbody tr")).to_have_count(3)
    page.get_by_role("button", name="slice3.dcm").click()
    expect_answer(page, "Normal")
    expect(page.get_by_alt_text("The chosen image")).to_be_visible()


def test_several_dicom_files_are_a_series_in_the_order_of_the_body_not_of_their_names(page):
    slices = {"a.dcm": ct(-1000, number=3), "b.dcm": ct(0, number=1), "c.dcm": ct(0, number=2)}
    choose_all(page, *(as_file(data, name) for name, data in slices.items()))
    expect(page.get_by_role("img", name="Probability of each class in 3 slices")).to_be_visible()
    rows = page.locator("#table tbody tr")
    expect(rows).to_have_count(3)
    assert [row.split()[1] for row in rows.all_inner_texts()] == ["b.dcm", "c.dcm", "a.dcm"]
    page.get_by_role("button", name="a.dcm").click()
    expect_answer(page, "Normal")
    expect(page.get_by_alt_text("The chosen image")).to_be_visible()


def test_a_picture_among_the_slices_stands_beside_the_series(page):
    slices = {"a.dcm": ct(0, number=2), "b.dcm": ct(-1000, number=1)}
    choose_all(page, *(as_file(data, name) for name, data in {**slices, "scan.png": picture()}.items()))
    expect_done(page, "3 images")
    page.get_by_role("button", name="Table").click()
    assert names(page) == ["b.dcm", "a.dcm", "scan.png"]


def test_slices_that_are_too_large_together_are_said_to_be_no_series(page):
    large = ct(0) + bytes(2**20)
    choose_all(page, as_file(large, "a.dcm"), as_file(large, "b.dcm"))
    expect(page.locator("#no-series")).to_contain_text(
        "2 DICOM files have 2.0 MB, and this server takes 2 MB at a time: they are no series here"
    )
    page.get_by_role("button", name="Start over").click()
    choose(page, picture())
    expect(page.locator("#no-series")).to_be_hidden()


def test_an_archive_that_is_answered_later_leaves_the_table_as_it_is(page):
    held = []
    page.wait_for_load_state("networkidle")
    page.route("**/api/v1/batch", lambda route: held.append(route))
    archive = as_file(zipped({"three.png": picture(), "four.png": picture()}), "more.zip", "application/zip")
    with page.expect_request("**/api/v1/batch"):
        choose_all(page, as_file(picture(), "one.png"), as_file(picture("normal"), "two.png"), archive)
    page.get_by_role("button", name="Table").click()
    page.get_by_label("Find").fill("o")
    page.get_by_role("button", name="two.png").click()
    expect_answer(page, "Normal")
    held[0].continue_()
    expect_done(page, "4 images")
    expect(page.locator("#label")).to_have_text("Normal")
    page.get_by_role("button", name="Table").click()
    expect(page.get_by_label("Find")).to_have_value("o")


class OldZipInfo(zipfile.ZipInfo):
    """A name in the code page of old PCs, as many Windows tools write it."""

    def _encodeFilenameFlags(self):  # noqa: N802
        return self.filename.encode("cp437"), self.flag_bits & ~0x800


def test_pictures_with_old_names_in_an_archive_are_shown(page):
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name in ("Müller.png", "Ångström.png"):
            archive.writestr(OldZipInfo(name), picture())
    choose(page, written.getvalue(), name="old.zip")
    expect_done(page, "2 images")
    page.get_by_role("tab", name="Müller.png").click()
    expect(page.get_by_alt_text("The chosen image")).to_be_visible()
