"""Readers' labels on the page: given for one image or one of many, and how often readers agree."""

import io
import zipfile
from collections.abc import Iterator

import pytest
from browser import as_file, choose, choose_all, expect_answer, open_page
from playwright.sync_api import Page, expect
from test_page_access import expect_nothing_serious
from tiny_app import CONFIG, app_serving, running
from tiny_model import GREY, coloured, picture

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def asking_readers(deciding, tmp_path_factory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("log") / "predictions.db"
    app = app_serving(deciding, CONFIG.model_copy(update={"prediction_log": log, "feedback": True}))
    with running(app) as address:
        yield address


@pytest.fixture
def labels(browser, asking_readers) -> Iterator[Page]:
    yield from open_page(browser, asking_readers)


def give(page: Page, label: str) -> None:
    page.get_by_label("Correct label (reader's opinion)").select_option(label=label)
    page.get_by_role("button", name="Save label").click()


def test_a_reader_says_what_an_image_is_and_hears_what_was_kept(labels):
    choose(labels, picture())
    expect_answer(labels, "Adenocarcinoma")
    give(labels, "Normal")
    said = labels.locator("#feedback-said")
    expect(said).to_have_text("Saved: normal. The model predicted adenocarcinoma.")
    give(labels, "Adenocarcinoma")
    expect(said).to_have_text("Saved: adenocarcinoma. The model predicted the same.")
    labels.get_by_role("button", name="Try another image").click()
    choose(labels, coloured(GREY))
    expect(labels.locator("#verdict")).to_have_attribute("data-state", "refused")
    expect(said).to_have_text("")
    give(labels, "Normal")
    expect(said).to_have_text("Saved: normal. The model gave no answer.")


def test_each_image_of_an_archive_gets_its_own_label(labels):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        for name in ("adenocarcinoma", "squamous_cell_carcinoma"):
            members.writestr(f"{name}.png", picture(name))
    choose_all(labels, as_file(archive.getvalue(), "two.zip", "application/zip"))
    tabs = labels.get_by_role("tab")
    expect(tabs).to_have_count(2)
    tabs.nth(1).click()
    expect_answer(labels, "Squamous cell carcinoma")
    give(labels, "Squamous cell carcinoma")
    said = labels.locator("#feedback-said")
    expect(said).to_have_text("Saved: squamous cell carcinoma. The model predicted the same.")
    tabs.nth(0).click()
    expect_answer(labels, "Adenocarcinoma")
    expect(said).to_have_text("")
    tabs.nth(1).click()
    expect(said).to_have_text("Saved: squamous cell carcinoma. The model predicted the same.")


def test_a_chosen_label_waits_while_the_page_is_drawn_again(labels):
    choose(labels, picture())
    expect_answer(labels, "Adenocarcinoma")
    give(labels, "Normal")
    said, chosen = labels.locator("#feedback-said"), labels.get_by_label("Correct label (reader's opinion)")
    expect(said).to_contain_text("Saved: normal.")
    chosen.select_option(label="Squamous cell carcinoma")
    expect(said).to_have_text("")
    # As when a picture or a map of this image comes.
    labels.evaluate("import('/static/items.js').then(({ choice }) => choice.changed(choice.selected))")
    expect(chosen).to_have_value("squamous_cell_carcinoma")
    labels.get_by_role("button", name="Save label").click()
    expect(said).to_have_text("Saved: squamous cell carcinoma. The model predicted adenocarcinoma.")
    held = []
    labels.route("**/api/v1/feedback", lambda route: held.append(route))
    with labels.expect_request("**/api/v1/feedback"):
        give(labels, "Normal")
    chosen.select_option(label="Large cell carcinoma")
    with labels.expect_response("**/api/v1/feedback"):
        held[0].continue_()
    expect(labels.get_by_role("button", name="Save label")).to_be_enabled()
    expect(chosen).to_have_value("large_cell_carcinoma")


def test_a_label_that_cannot_be_kept_says_why(labels):
    choose(labels, picture())
    expect_answer(labels, "Adenocarcinoma")
    labels.route("**/api/v1/feedback", lambda route: route.abort())
    give(labels, "Normal")
    expect(labels.locator("#feedback-said")).to_have_text("The server does not answer. Is it still running?")


def test_the_models_page_says_how_often_readers_agree(browser, asking_readers):
    for page in open_page(browser, asking_readers):
        choose(page, picture())
        expect_answer(page, "Adenocarcinoma")
        give(page, "Adenocarcinoma")
        expect(page.locator("#feedback-said")).to_contain_text("Saved")
        page.get_by_role("link", name="Models").click()
        expect(page.locator(".agreed")).to_contain_text("Readers agree with")
        expect(page.locator(".agreed")).to_contain_text("95 % interval")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser, asking_readers, scheme):
    for page in open_page(browser, asking_readers, bypass_csp=True, reduced_motion="reduce", color_scheme=scheme):
        choose(page, picture())
        expect_answer(page, "Adenocarcinoma")
        give(page, "Normal")
        expect(page.locator("#feedback-said")).to_contain_text("Saved")
        expect_nothing_serious(page)
        page.get_by_role("link", name="Models").click()
        expect(page.locator(".agreed")).to_contain_text("Readers agree with")
        expect_nothing_serious(page)


def test_without_readers_there_is_nothing_to_fill_in(page):
    choose(page, picture())
    expect_answer(page, "Adenocarcinoma")
    expect(page.locator("#feedback")).to_have_count(0)
