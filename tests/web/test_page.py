"""One image on the page, in a real browser, against the real server. A missing browser is a failure."""

import io
import re
import threading
from pathlib import Path

import numpy as np
import pytest
from browser import choose, drop, expect_answer, open_page, paste
from PIL import Image
from playwright.sync_api import expect
from tiny_app import CONFIG, ROOT, app_serving, app_without_model, running
from tiny_model import GREY, LEANING, MIXED, SPEC, coloured, noise, picture, write_package

from cnnClassifier import DISCLAIMER
from cnnClassifier.inference import Classifier
from cnnClassifier.web import ModelHolder, Models, create_app

pytestmark = pytest.mark.browser


def test_a_good_image_is_shown_and_classified_without_a_reload(page):
    page.evaluate("window.sameDocument = true")
    choose(page, picture("squamous_cell_carcinoma"))
    expect(page.get_by_alt_text("The chosen image")).to_be_visible()
    expect_answer(page, "Squamous cell carcinoma")
    expect(page.locator("#confidence")).to_have_text("> 99.9 %")
    expect(page.locator("#caption")).to_have_text(re.compile(r"scan\.png · 1 kB · 48 . 40 pixels"))
    expect(page.locator("#result-disclaimer")).to_have_text(DISCLAIMER)
    assert page.evaluate("window.sameDocument")


def test_an_answer_says_which_model_gave_it_when_and_in_which_request(page):
    with page.expect_response("**/api/v1/predict*") as asked:
        choose(page, picture())
    expect(page.locator("#result-model")).to_have_text("colours")
    expect(page.locator("#result-version")).to_have_text("7")
    answer = asked.value.json()
    expect(page.locator("#result-request")).to_have_text(answer["request_id"])
    expect(page.locator("#result-date")).to_have_attribute("datetime", answer["answered_at"])
    assert asked.value.headers["x-request-id"] == answer["request_id"]


def test_every_class_has_a_bar_that_a_screen_reader_reads(page):
    choose(page, picture())
    bars = page.get_by_role("meter")
    expect(bars).to_have_count(4)
    expect(bars.first).to_have_attribute("aria-label", "Adenocarcinoma")
    expect(bars.first).to_have_attribute("aria-valuenow", "100.0")
    assert [bar.get_attribute("aria-label") for bar in bars.all()].count("Normal") == 1


def test_an_answer_that_a_rule_changed_says_so_and_what_else_it_could_be(deciding_page):
    choose(deciding_page, coloured(LEANING))
    expect_answer(deciding_page, "Large cell carcinoma")
    expect(deciding_page.locator("#bars .answered .bar-name")).to_have_text("Large cell carcinoma")
    expect(deciding_page.locator("#also")).to_have_text("Could also be adenocarcinoma.")
    expect(deciding_page.locator("#changes")).to_contain_text("Answered large cell carcinoma rather than")


def test_an_abstention_asks_for_a_person_and_claims_no_confidence(deciding_page):
    choose(deciding_page, coloured(MIXED))
    expect(deciding_page.locator("#label")).to_have_text("Could be adenocarcinoma or large cell carcinoma")
    expect(deciding_page.locator("#label")).to_be_focused()
    expect(deciding_page.locator("#result-advice")).to_have_text("A person should look at this image.")
    expect(deciding_page.locator("#result-confidence")).to_be_hidden()
    expect(deciding_page.get_by_role("meter")).to_have_count(4)


def test_a_refusal_shows_no_probabilities_and_the_next_answer_does(deciding_page):
    choose(deciding_page, coloured(GREY))
    expect(deciding_page.locator("#label")).to_have_text("This does not look like the images this model knows")
    expect(deciding_page.locator("#bars")).to_be_hidden()
    expect(deciding_page.locator("#changes")).to_contain_text("limit 0.80")
    deciding_page.get_by_role("button", name="Try another image").click()
    choose(deciding_page, picture())
    expect_answer(deciding_page, "Adenocarcinoma")
    expect(deciding_page.locator("#bars")).to_be_visible()
    for left_over in ("#result-advice", "#also", "#changes"):
        expect(deciding_page.locator(left_over)).to_be_hidden()


@pytest.mark.parametrize(
    ("content", "title"),
    [
        (noise(64)[:5000], "This image cannot be read"),
        (b"only text", "This image cannot be read"),
        (b"", "This file is empty"),
        (bytes(3 * 2**20), "This file is too large"),
    ],
    ids=["truncated", "text", "empty", "large"],
)
def test_a_bad_file_is_explained_on_the_spot_and_the_next_one_works(page, content, title):
    choose(page, content)
    expect(page.get_by_role("alert")).to_contain_text(title)
    page.get_by_role("button", name="Try another image").click()
    choose(page, picture("normal"))
    expect_answer(page, "Normal")


def test_a_file_s_name_stays_as_it_is_written(page):
    choose(page, b"", "my empty.jpg")
    expect(page.locator("#error-detail")).to_have_text("The file my empty.jpg has no content.")
    words = 'import("/static/words.js").then(({ sentence }) => ["grouped_cv.f1 is 1", "not a"].map(sentence))'
    assert page.evaluate(words) == ["grouped_cv.f1 is 1.", "Not a."]


def test_the_same_file_may_be_tried_again(page):
    for _ in range(2):
        choose(page, picture("normal"))
        expect_answer(page, "Normal")
        page.get_by_role("button", name="Try another image").click()
        expect(page.locator("#drop")).to_be_visible()


@pytest.mark.parametrize("arrive", [drop, paste])
def test_a_file_dropped_anywhere_or_pasted_is_taken(page, arrive):
    arrive(page, "scan.png")
    expect_answer(page, "Adenocarcinoma")


def test_a_picture_that_the_browser_cannot_show_is_shown_all_the_same(page):
    encoded = io.BytesIO()
    Image.fromarray(np.full((30, 40), 9000, dtype=np.uint16)).save(encoded, "TIFF")
    choose(page, encoded.getvalue(), name="scan.tif")
    expect(page.locator("#label")).not_to_be_empty()
    expect(page.get_by_alt_text("The chosen image")).to_be_visible()
    assert page.evaluate("document.getElementById('picture').naturalWidth") == 40


def test_a_file_name_is_never_markup(page):
    choose(page, picture(), name="<img src=x onerror=alert(1)>.png")
    expect_answer(page, "Adenocarcinoma")
    expect(page.locator("#caption")).to_contain_text("<img src=x onerror=alert(1)>.png")


def test_without_a_model_the_page_says_what_to_type(browser):
    with running(app_without_model()) as address:
        for page in open_page(browser, address):
            expect(page.get_by_role("heading", name="No model yet")).to_be_visible()
            expect(page.locator("pre")).to_have_text("make run")
            choose(page, picture())
            expect(page.get_by_role("alert")).to_contain_text("No model is being served")
            expect(page.get_by_role("button", name="Try again")).to_be_visible()


def test_an_image_chosen_while_the_model_loads_is_classified_when_it_is_there(browser, classifier):
    arrival = threading.Event()

    def slow_load() -> Classifier:
        arrival.wait(60)
        return classifier

    models = ModelHolder(slow_load)
    models.start()
    with running(create_app(Models(models), CONFIG, ROOT)) as address:
        for page in open_page(browser, address):
            choose(page, picture("normal"))
            expect(page.locator("#busy-text")).to_have_text("Loading the model…")
            arrival.set()
            expect_answer(page, "Normal")
            expect(page.locator("#model")).to_have_text("colours · version 7")


def test_a_lost_server_is_said_and_may_be_asked_again(browser, classifier):
    with running(app_serving(classifier)) as address:
        pages = open_page(browser, address)
        page = next(pages)
        expect(page.locator("#model")).to_have_text("colours · version 7")
    choose(page, picture())
    expect(page.get_by_role("alert")).to_contain_text("The server does not answer")
    expect(page.get_by_role("button", name="Try again")).to_be_focused()
    next(pages, None)


def test_a_model_of_drawn_images_is_announced_loudly(browser, tmp_path: Path):
    package = write_package(tmp_path / "drawn", SPEC.model_copy(update={"synthetic": True}))
    with running(app_serving(Classifier.load(package, "phantom", "1"))) as address:
        for page in open_page(browser, address):
            expect(page.get_by_role("note")).to_contain_text("Synthetic model")
            choose(page, picture())
            expect(page.locator("#result-synthetic")).to_be_visible()
