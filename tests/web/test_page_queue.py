"""What the page asks, in which order, what is waited for, and what becomes of what was not answered."""

import re

import pytest
from browser import KEY_WANTED, as_file, choose, choose_all, expect_answer, expect_done, open_page, refuse
from playwright.sync_api import expect
from tiny_app import app_serving, running
from tiny_model import picture

pytestmark = pytest.mark.browser


def test_who_has_no_key_says_so_once_for_all_images(browser, classifier):
    app = app_serving(classifier)
    refuse(app, "/api/v1/predict", KEY_WANTED)
    with running(app) as address:
        for page in open_page(browser, address):
            choose_all(page, *(as_file(picture(), f"{number}.png") for number in range(5)))
            page.get_by_role("button", name="Cancel").click()
            expect_done(page, "5 images, 5 problems")
            page.get_by_role("button", name="Try the 5 again").click()
            page.get_by_label("API key", exact=True).fill("open-sesame")
            page.get_by_role("button", name="Use this key").click()
            expect_done(page, "5 images")


def test_what_failed_while_the_server_was_away_is_tried_again_at_once(page):
    page.route("**/api/v1/predict", lambda route: route.abort())
    choose_all(page, *(as_file(picture("normal"), f"{number}.png") for number in range(3)))
    expect_done(page, "3 images, 3 problems")
    page.unroute("**/api/v1/predict")
    held = []
    page.route("**/api/v1/predict", lambda route: route.continue_() if len(held) == 2 else held.append(route))
    page.get_by_role("button", name="Try the 3 again").click()
    expect(page.get_by_role("tab").nth(2).locator(".tab-outcome")).to_have_text("Waiting")
    for route in held:
        route.continue_()
    expect_done(page, "3 images")
    expect_answer(page, "Normal")
    expect(page.locator("#retry")).to_be_hidden()


def test_what_is_being_waited_for_can_be_stopped(page):
    page.route("**/api/v1/predict", lambda _: None)
    choose(page, picture())
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_label("Drop images here")).to_be_focused()
    page.unroute("**/api/v1/predict")
    choose(page, picture())
    expect_answer(page, "Adenocarcinoma")
    expect(page.get_by_role("button", name="Try another image")).to_be_visible()


def test_what_is_looked_at_goes_first_and_the_others_wait(page):
    held, asked = [], []

    def hold(route) -> None:
        asked.append(re.search(r'filename="(.+?)"', route.request.post_data_buffer.decode("latin-1"))[1])
        if len(asked) > 3:
            route.continue_()
        else:
            held.append(route)

    page.wait_for_load_state("networkidle")  # the samples are there
    page.route("**/api/v1/predict", hold)
    choose_all(page, *(as_file(picture(), f"{number}.png") for number in range(8)))
    last = page.get_by_role("tab").nth(7)
    expect(last.locator(".tab-outcome")).to_have_text("Waiting")
    expect(page.get_by_role("tab").first.locator(".tab-outcome")).to_have_text("Classifying…")
    last.click()
    expect(page.locator("#busy-text")).to_have_text("Waiting for its turn…")
    held[0].continue_()
    expect(last.locator(".tab-outcome")).to_have_text("Classifying…")
    for _ in range(200):
        if len(asked) < 3:
            page.wait_for_timeout(50)
    assert asked == ["0.png", "1.png", "7.png"]
    for route in held[1:]:
        route.continue_()
    expect_done(page, "8 images")
