"""Where a class shows, over the picture, and the report that is printed of it."""

import pytest
from browser import choose, expect_answer, open_page
from playwright.sync_api import Page, expect
from tiny_app import app_serving, running
from tiny_model import CLASSES, DECIDING, GREY, PURE, REFERENCE, coloured, with_spot, write_package

from cnnClassifier.inference import Classifier
from cnnClassifier.model_spec import OUTLIERS_FILE
from cnnClassifier.outliers import save_reference

pytestmark = pytest.mark.browser

ROW, COLUMN, SIDE = 15, 33, 48


@pytest.fixture
def shown(explaining_page: Page) -> Page:
    """The page with a picture that has one red spot, and where it is shown."""
    choose(explaining_page, with_spot((250, 0, 0), ROW, COLUMN, SIDE))
    explaining_page.get_by_role("button", name="Show where").click()
    expect(explaining_page.locator("#overlay")).to_be_visible()
    explaining_page.get_by_label("Class", exact=True).select_option("Adenocarcinoma")
    return explaining_page


def test_the_map_lies_exactly_over_the_picture(shown):
    assert shown.locator("#overlay").bounding_box() == shown.get_by_alt_text("The chosen image").bounding_box()


def test_the_peak_is_marked_where_it_is_in_the_picture(shown):
    expect(shown.locator("#peak")).to_be_visible()
    plate, mark = shown.locator("#plate").bounding_box(), shown.locator("#peak").bounding_box()
    across = (mark["x"] + mark["width"] / 2 - plate["x"]) / plate["width"] * SIDE
    down = (mark["y"] + mark["height"] / 2 - plate["y"]) / plate["height"] * SIDE
    assert (down, across) == pytest.approx((ROW + 0.5, COLUMN + 0.5), abs=0.2)
    shown.get_by_label("Mark the peak").uncheck()
    expect(shown.locator("#peak")).to_be_hidden()


def test_another_class_is_another_map_and_one_without_evidence_says_so(shown):
    first = shown.locator("#overlay").get_attribute("src")
    shown.get_by_label("Class", exact=True).select_option("Squamous cell carcinoma")
    expect(shown.locator("#overlay")).not_to_have_attribute("src", first)
    expect(shown.get_by_alt_text("Where squamous cell carcinoma shows: nowhere")).to_be_visible()
    expect(shown.locator("#where-nothing")).to_contain_text(
        "Nothing in this picture speaks for squamous cell carcinoma"
    )
    expect(shown.locator("#peak")).to_be_hidden()


def test_the_opacity_is_chosen_and_the_map_taken_away_again(shown):
    shown.get_by_label("Opacity").fill("20")
    expect(shown.locator("#overlay")).to_have_css("opacity", "0.2")
    shown.get_by_role("button", name="Show where").click()
    expect(shown.locator("#overlay")).to_be_hidden()
    expect(shown.get_by_alt_text("The chosen image")).to_be_visible()


def test_a_map_says_what_it_is_not(shown):
    expect(shown.locator("#where-controls")).to_contain_text("do not outline a finding")


def test_a_model_without_maps_does_not_offer_them(page):
    choose(page, with_spot((250, 0, 0), ROW, COLUMN))
    expect_answer(page, "Normal")
    expect(page.get_by_role("button", name="Show where")).to_be_hidden()


def test_a_refused_image_has_no_maps(browser, tmp_path):
    package = write_package(tmp_path / "both", DECIDING, maps=len(CLASSES))
    save_reference(REFERENCE, package / OUTLIERS_FILE)
    with running(app_serving(Classifier.load(package, "both", "11", threads=1))) as address:
        for page in open_page(browser, address):
            choose(page, coloured(PURE))
            page.get_by_role("button", name="Show where").click()
            expect(page.locator("#overlay")).to_be_visible()
            page.get_by_role("button", name="Try another image").click()
            choose(page, coloured(GREY))
            expect(page.locator("#eyebrow")).to_have_text("No answer: another kind of image")
            for part in ("#where", "#where-tools", "#overlay", "#peak"):
                expect(page.locator(part)).to_be_hidden()


def test_the_printed_report_has_the_answer_and_no_controls(shown):
    shown.emulate_media(media="print")
    kept = ("#picture", "#overlay", "#overlaid", "#label", "#bars", "#result-model", "#result-version")
    for part in (*kept, "#result-date", "#result-request", "#result-disclaimer", ".report-title"):
        expect(shown.locator(part)).to_be_visible()
    for control in ("header.top", "#actions", ".tools", "#samples", "footer", "#files"):
        expect(shown.locator(control)).to_be_hidden()
    assert shown.locator("#overlay").bounding_box() == shown.get_by_alt_text("The chosen image").bounding_box()
    assert shown.pdf().count(b"/Type /Page\n") == 1


def test_the_report_of_a_dark_page_is_printed_light(browser, explaining_server):
    for page in open_page(browser, explaining_server, color_scheme="dark"):
        choose(page, with_spot((250, 0, 0), ROW, COLUMN))
        expect_answer(page, "Normal")
        page.emulate_media(media="print", color_scheme="dark")
        expect(page.locator("body")).to_have_css("background-color", "rgb(255, 255, 255)")
        expect(page.locator("#label")).to_have_css("color", "rgb(0, 0, 0)")


def test_the_report_is_printed_at_the_press_of_a_button(shown):
    shown.evaluate("window.print = () => { document.body.dataset.printed = 'yes'; }")
    shown.get_by_role("button", name="Print report").click()
    expect(shown.locator("body")).to_have_attribute("data-printed", "yes")
