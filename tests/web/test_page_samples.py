"""Samples on the page: fetched once, one click away, and never taken for what they are not."""

import pytest
from browser import choose, expect_answer, open_page
from playwright.sync_api import expect
from tiny_app import CONFIG, ROOT, app_serving, running
from tiny_model import SPEC, picture, write_package

from cnnClassifier.inference import Classifier
from cnnClassifier.web import ModelHolder, Models, create_app
from cnnClassifier.web.models import Registry

pytestmark = pytest.mark.browser


def test_a_sample_is_one_click_away_and_says_what_it_is(page):
    page.get_by_role("button", name="Normal, sample 1").click()
    expect(page.locator("#label")).to_be_focused()
    expect(page.locator("#truth")).to_have_text("Sample: a drawing, made by a program.")
    expect(page.get_by_alt_text("The chosen image")).to_be_visible()


def test_samples_are_fetched_once_however_many_images_are_looked_at(page):
    page.wait_for_load_state("networkidle")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/samples" in request.url else None)
    for _ in range(3):
        page.get_by_role("button", name="Normal, sample 1").click()
        expect(page.locator("#result")).to_be_visible()
        page.get_by_role("button", name="Try another image").click()
        expect(page.locator("#model")).to_have_attribute("data-state", "ready")
        page.wait_for_load_state("networkidle")
    assert asked == []
    shown = page.get_by_role("button", name="Normal, sample 1").locator("img")
    assert shown.evaluate("each => each.naturalWidth") > 0


def test_a_drawn_sample_is_no_test_of_a_model_of_real_scans(page):
    expect(page.locator("#samples-drawn")).to_contain_text("These are drawings and the model learned from real scans")
    page.get_by_role("button", name="Normal, sample 1").click()
    expect(page.locator("#result-drawn")).to_contain_text("This is a drawing and the model learned from real scans")
    page.get_by_role("button", name="Try another image").click()
    choose(page, picture())
    expect_answer(page, "Adenocarcinoma")
    expect(page.locator("#result-drawn")).to_be_hidden()


def test_a_drawn_sample_is_a_test_of_a_model_that_learned_from_drawings(browser, tmp_path):
    package = write_package(tmp_path / "drawn", SPEC.model_copy(update={"synthetic": True}))
    with running(app_serving(Classifier.load(package, "phantom", "1"))) as address:
        for page in open_page(browser, address):
            page.get_by_role("button", name="Normal, sample 1").click()
            expect(page.locator("#label")).to_be_focused()
            expect(page.locator("#truth")).to_have_text("Sample: a drawn picture. Its true class: normal.")
            for notice in ("#samples-drawn", "#result-drawn"):
                expect(page.locator(notice)).to_be_hidden()


def test_samples_are_not_offered_to_a_model_of_other_classes(browser, classifier, tmp_path):
    spec = SPEC.model_copy(update={"classes": ("glioma", "healthy", "meningioma", "pituitary")})
    brain = Classifier.load(write_package(tmp_path / "brain", spec), "brain", "1")
    started, other = ModelHolder(lambda: classifier), ModelHolder(lambda: brain)
    started.load_once()
    names = ["colours", "brain"]
    registry = Registry(lambda: names, names.__contains__, lambda _: [], lambda _: other)
    with running(create_app(Models(started, registry), CONFIG, ROOT)) as address:
        for page in open_page(browser, f"{address}/?model=brain"):
            expect(page.locator("#model")).to_have_text("brain · version 1")
            expect(page.locator("#samples")).to_be_hidden()
            page.get_by_label("Model", exact=True).select_option("colours")
            expect(page.locator("#samples")).to_be_visible()
