"""DICOM on the page: its window, its frames, and nothing of its patient."""

import pytest
from browser import as_file, choose, choose_all, expect_answer
from playwright.sync_api import Page, expect

from ct_files import PATIENT, ct

pytestmark = pytest.mark.browser


@pytest.fixture
def ct_page(page: Page) -> Page:
    """The page with a CT file of water and, as a second frame, air."""
    choose(page, ct(0, -1000), name="scan.dcm")
    expect(page.locator("#result")).to_be_visible()
    expect(page.get_by_alt_text("The chosen image")).to_be_visible()
    return page


def brightness(page: Page) -> int:
    """Of the first pixel of the picture on the screen."""
    return page.evaluate(
        """() => {
            const context = new OffscreenCanvas(1, 1).getContext("2d");
            context.drawImage(document.getElementById("picture"), 0, 0);
            return context.getImageData(0, 0, 1, 1).data[0];
        }"""
    )


def test_a_ct_is_shown_through_its_own_window(ct_page):
    expect(ct_page.locator("#caption")).to_contain_text("DICOM · frame 1 of 2 · window 40 / 400 HU")
    expect(ct_page.get_by_role("button", name="File's own")).to_have_attribute("aria-pressed", "true")
    assert brightness(ct_page) == pytest.approx(255 * 0.4, abs=2)


def test_nothing_of_the_patient_is_shown(ct_page):
    assert PATIENT.split("^")[0] not in ct_page.content()


def test_another_window_is_another_picture_and_another_answer(ct_page):
    ct_page.get_by_role("button", name="Lung").click()
    expect(ct_page.locator("#caption")).to_contain_text("window -600 / 1500 HU")
    expect_answer(ct_page, "Adenocarcinoma")
    expect(ct_page.get_by_role("button", name="Lung")).to_have_attribute("aria-pressed", "true")
    ct_page.wait_for_function("document.getElementById('center-value').textContent === '-600'")
    ct_page.get_by_role("button", name="Bone").click()
    expect_answer(ct_page, "Normal")
    expect(ct_page.get_by_role("button", name="Bone")).to_be_focused()


def test_the_sliders_choose_any_window_and_the_keyboard_moves_them(ct_page):
    ct_page.get_by_label("Centre").fill("900")
    expect(ct_page.locator("#caption")).to_contain_text("window 900 / 400 HU")
    expect_answer(ct_page, "Normal")
    ct_page.get_by_label("Width").focus()
    ct_page.keyboard.press("End")
    expect(ct_page.locator("#caption")).to_contain_text("window 900 / 3000 HU")
    expect(ct_page.get_by_label("Width")).to_be_focused()


def test_sliders_end_where_the_server_still_follows(page):
    choose(page, ct(0, window=(60_000, 100_000)), name="positrons.dcm")
    expect(page.locator("#caption")).to_contain_text("window 60000 / 100000 HU")
    page.get_by_label("Centre").focus()
    page.keyboard.press("End")
    expect(page.locator("#caption")).to_contain_text("window 160000 / 100000 HU")
    page.get_by_label("Width").focus()
    page.keyboard.press("End")
    expect(page.locator("#caption")).to_contain_text("window 160000 / 200000 HU")


def test_a_look_that_is_not_answered_leaves_the_way_to_another_one(ct_page):
    ct_page.route("**/api/v1/predict?window_center=900*", lambda route: route.abort())
    ct_page.get_by_label("Centre").focus()
    ct_page.get_by_label("Centre").fill("900")
    expect(ct_page.locator("#error")).to_be_visible()
    expect(ct_page.get_by_label("Centre")).to_be_focused()
    ct_page.get_by_role("button", name="Lung").click()
    expect_answer(ct_page, "Adenocarcinoma")
    expect(ct_page.locator("#caption")).to_contain_text("window -600 / 1500 HU")


def test_a_slider_goes_through_the_frames(ct_page):
    expect_answer(ct_page, "Adenocarcinoma")
    ct_page.get_by_label("Frame").fill("2")
    expect(ct_page.locator("#caption")).to_contain_text("frame 2 of 2")
    expect_answer(ct_page, "Normal")


def move(page: Page, then: str = "body", **sliders: int) -> None:
    """Move sliders, and click on something, all within the moment that the page waits for the hand to rest."""
    page.evaluate(
        """([sliders, then]) => {
            for (const [id, value] of Object.entries(sliders)) {
                const slider = document.getElementById(id);
                slider.value = value;
                slider.dispatchEvent(new Event("input"));
            }
            document.querySelector(then).click();
        }""",
        [{name.replace("_", "-"): value for name, value in sliders.items()}, then],
    )


def test_window_and_frame_moved_at_once_are_both_heeded(ct_page):
    move(ct_page, window_center=900, frame=2)
    expect(ct_page.locator("#caption")).to_contain_text("frame 2 of 2 · window 900 / 400 HU")


def test_a_window_is_the_image_s_that_it_was_chosen_for_though_another_was_opened_at_once(page):
    choose_all(page, *(as_file(ct(0, number=number), f"{number}.dcm") for number in (1, 2)))
    page.get_by_role("button", name="1.dcm").click()
    expect(page.locator("#caption")).to_contain_text("window 40 / 400 HU")
    with page.expect_response("**/api/v1/predict?window_center=900*"):
        move(page, window_center=900, then="#strip button:nth-child(2)")
    expect(page.locator("#caption")).to_contain_text("2.dcm")
    page.get_by_role("tab", name="1.dcm").click()
    expect(page.locator("#caption")).to_contain_text("window 900 / 400 HU")
    page.get_by_role("tab", name="2.dcm").click()
    expect(page.locator("#caption")).to_contain_text("window 40 / 400 HU")


def test_a_ct_of_one_frame_has_no_slider_for_frames(page):
    choose(page, ct(0), name="without an ending")
    expect(page.get_by_label("Centre")).to_be_visible()
    expect(page.get_by_label("Frame")).to_be_hidden()


def test_a_file_s_own_window_keeps_its_fraction_while_the_other_slider_moves(page):
    with page.expect_response("**/api/v1/predict"):
        choose(page, ct(0, window=(40.5, 350.5)), name="scan.dcm")
    expect(page.locator("#center-value")).to_have_text("40.5")
    expect(page.locator("#caption")).to_contain_text("window 40.5 / 350.5 HU")
    with page.expect_request("**/api/v1/predict?*window_center*") as asked:
        page.get_by_label("Width").evaluate("node => { node.value = 401.37; node.dispatchEvent(new Event('input')); }")
    assert "window_center=40.5&window_width=401" in asked.value.url
    expect(page.locator("#width-value")).to_have_text("401")
