"""The page and its server: keys, patience, cards, and the choice of models."""

import re
from collections.abc import Iterator

import pytest
from browser import KEY_WANTED, choose, drop, expect_answer, open_page, refuse
from playwright.sync_api import Page, Route, expect
from tiny_app import CONFIG, ROOT, app_serving, running
from tiny_model import DECIDING, MIXED, REFERENCE, coloured, picture, write_package

from cnnClassifier.errors import TrackingError
from cnnClassifier.inference import Classifier
from cnnClassifier.model_spec import OUTLIERS_FILE
from cnnClassifier.outliers import save_reference
from cnnClassifier.tracking.catalogue import Version
from cnnClassifier.web import ModelHolder, Models, create_app
from cnnClassifier.web.answers import Problem
from cnnClassifier.web.limits import Guard
from cnnClassifier.web.models import Registry

pytestmark = pytest.mark.browser

BUSY = Problem(title="Too Many Requests", status=429, detail="too much at once")


def test_a_server_that_wants_a_key_is_given_it_once_and_only_this_tab_knows_it(browser, classifier):
    app = app_serving(classifier)
    refused = refuse(app, "/api/v1/predict", KEY_WANTED)
    with running(app) as address:
        for page in open_page(browser, address):
            choose(page, picture("normal"))
            expect(page.get_by_role("dialog")).to_contain_text("This server asks for an API key")
            expect(page.get_by_label("API key", exact=True)).to_be_focused()
            page.keyboard.type("wrong")
            page.keyboard.press("Enter")
            expect(page.get_by_role("dialog")).to_contain_text("This key was not accepted")
            page.keyboard.type("open-sesame")
            page.keyboard.press("Enter")
            expect_answer(page, "Normal")
            assert refused == ["", "wrong"]
            page.get_by_role("button", name="Try another image").click()
            choose(page, picture())
            expect_answer(page, "Adenocarcinoma")
            assert page.evaluate("localStorage.length") == 0
            assert "open-sesame" not in page.evaluate("document.cookie")


def test_samples_and_cards_are_there_for_who_gives_the_key(browser, carded):
    models = ModelHolder(lambda: carded)
    models.load_once()
    key = "the key of the tests"
    with running(create_app(Models(models), CONFIG, ROOT, Guard(key))) as address:
        for page in open_page(browser, address):
            expect(page.locator("#model")).to_have_text("carded · version 9")
            expect(page.locator("#samples")).to_be_hidden()
            choose(page, picture())
            page.get_by_label("API key", exact=True).fill(key)
            page.keyboard.press("Enter")
            expect_answer(page, "Adenocarcinoma")
            page.get_by_role("button", name="Try another image").click()
            sample = page.get_by_role("button", name="Normal, sample 1")
            expect(sample.locator("img")).to_have_attribute("src", re.compile("^blob:"))
            sample.click()
            expect(page.locator("#truth")).to_have_text("Sample: a drawing, made by a program.")
            with page.expect_popup() as popup:
                page.get_by_role("banner").get_by_role("link", name="Model card").click()
            expect(popup.value.get_by_role("heading", name="Model card: colours")).to_be_visible()


def test_a_key_that_cannot_be_sent_is_refused_in_the_form_and_the_next_one_is_tried(browser, classifier):
    app = app_serving(classifier)
    refused = refuse(app, "/api/v1/predict", KEY_WANTED)
    with running(app) as address:
        for page in open_page(browser, address):
            choose(page, picture("normal"))
            page.get_by_label("API key", exact=True).fill("open-sesame…")
            page.keyboard.press("Enter")
            expect(page.get_by_role("dialog")).to_contain_text("This key was not accepted")
            page.keyboard.type("open-sesame")  # in its place
            page.keyboard.press("Enter")
            expect_answer(page, "Normal")
            assert refused == [""]


def test_without_the_key_there_is_no_answer_and_the_page_says_why(browser, classifier):
    app = app_serving(classifier)
    refuse(app, "/api/v1/predict", KEY_WANTED)
    with running(app) as address:
        for page in open_page(browser, address):
            choose(page, picture())
            page.get_by_role("button", name="Cancel").click()
            expect(page.locator("#error")).to_contain_text("This server asks for an API key")
            expect(page.get_by_role("button", name="Try again")).to_be_focused()


def test_a_busy_server_is_asked_again_when_it_said(browser, classifier):
    app = app_serving(classifier)
    refused = refuse(app, "/api/v1/predict", BUSY, times=2, **{"Retry-After": "1"})
    with running(app) as address:
        for page in open_page(browser, address):
            choose(page, picture("normal"))
            expect(page.locator("#busy-text")).to_contain_text("The server is busy. Trying again in 1 second…")
            expect_answer(page, "Normal")
            assert len(refused) == 2


def test_a_server_that_stays_busy_is_not_asked_for_ever(browser, classifier):
    app = app_serving(classifier)
    refused = refuse(app, "/api/v1/predict", BUSY, **{"Retry-After": "0"})
    with running(app) as address:
        for page in open_page(browser, address):
            choose(page, picture())
            expect(page.locator("#error")).to_contain_text("Too Many Requests")
            expect(page.get_by_role("button", name="Try again")).to_be_visible()
            assert len(refused) == 4


def test_the_model_s_card_opens_beside_the_page(browser, carded_server):
    for page in open_page(browser, carded_server):
        with page.expect_popup() as popup:
            page.get_by_role("banner").get_by_role("link", name="Model card").click()
        expect(popup.value.get_by_role("heading", name="Model card: colours")).to_be_visible()
        expect(page.locator("#drop")).to_be_visible()


def test_an_answer_links_the_card_of_the_model_that_gave_it(browser, carded_server):
    for page in open_page(browser, carded_server):
        choose(page, picture())
        expect(page.locator("#result").get_by_role("link", name="Model card")).to_be_visible()


def test_the_card_s_own_style_is_let_through(browser, carded_server):
    for card in open_page(browser, f"{carded_server}/model-card"):
        assert card.evaluate("getComputedStyle(document.body).maxWidth") == "1040px"
        assert card.evaluate("getComputedStyle(document.querySelector('td')).textAlign") == "right"


def test_a_model_without_a_card_has_no_link_to_one(page):
    expect(page.locator("#model")).to_have_text("colours · version 7")
    expect(page.locator("#model-card")).to_be_hidden()


def test_the_page_of_the_models_says_how_each_decides(browser, deciding_server):
    for page in open_page(browser, f"{deciding_server}/models"):
        sheet = page.get_by_role("article", name="deciding")
        expect(sheet).to_contain_text("version 8 is served")
        expect(sheet).to_contain_text(
            "Answers large cell carcinoma where their probabilities add up to 12.0 % or more."
        )
        expect(sheet).to_contain_text("It gives no answer where that set holds several classes.")
        sheet.get_by_role("link", name="Use this model").click()
        expect(page.locator("#model")).to_have_text("deciding · version 8")
        choose(page, picture())
        expect_answer(page, "Adenocarcinoma")


def test_a_model_that_refuses_does_not_always_answer(browser, tmp_path):
    decision = DECIDING.decision.model_copy(update={"conformal": None, "abstain": "never"})
    package = write_package(tmp_path / "refusing", DECIDING.model_copy(update={"decision": decision}))
    save_reference(REFERENCE, package / OUTLIERS_FILE)
    with running(app_serving(Classifier.load(package, "refusing", "12", threads=1))) as address:
        for page in open_page(browser, f"{address}/models"):
            sheet = page.get_by_role("article", name="refusing")
            expect(sheet).to_contain_text("Refuses images whose distance")
            expect(sheet).to_contain_text("It answers for every other image.")
            expect(sheet).not_to_contain_text("It always answers.")


def test_the_page_of_the_models_shows_a_card_in_its_frame(browser, carded_server):
    for page in open_page(browser, f"{carded_server}/models"):
        page.get_by_text("Model card: metrics").click()
        card = page.frame_locator("iframe")
        expect(card.get_by_role("heading", name="Model card: colours")).to_be_visible()


@pytest.fixture
def two_models(classifier, deciding) -> Iterator[str]:
    """A server of the model "colours", whose registry offers "deciding" too: it is loaded when first asked for."""
    started = ModelHolder(lambda: classifier)
    started.load_once()
    registry = Registry(
        names=lambda: ["colours", "deciding"],
        offers=["colours", "deciding"].__contains__,
        versions=lambda _: [
            Version("8", ("champion",), "better by 0.02"),
            Version("9", ("challenger",), None, "looked at by hand"),
        ],
        holder=lambda _: ModelHolder(lambda: deciding),
    )
    with running(create_app(Models(started, registry), CONFIG, ROOT)) as address:
        yield address


def hold_back(page: Page, address: str) -> list[Route]:
    """The requests to an address, which go on when they are told to."""
    held: list[Route] = []
    page.route(address, lambda route: held.append(route))
    return held


def test_a_card_that_is_opened_while_the_versions_are_fetched_stays_open(browser, carded_server):
    for page in open_page(browser, carded_server):
        held = hold_back(page, "**/api/v1/models/carded")
        page.goto(f"{carded_server}/models")
        page.get_by_text("Model card: metrics").click()
        first = page.locator("article").element_handle()
        for route in held:
            route.continue_()
        page.wait_for_function("each => !each.isConnected", arg=first)
        expect(page.locator("details")).to_have_attribute("open", "")


def test_another_model_answers_for_the_same_image_and_the_address_remembers_it(browser, two_models):
    for page in open_page(browser, two_models):
        choose(page, coloured(MIXED))
        expect_answer(page, "Adenocarcinoma")
        page.get_by_label("Model", exact=True).focus()
        page.get_by_label("Model", exact=True).select_option("deciding")
        expect(page.locator("#label")).to_have_text("Could be adenocarcinoma or large cell carcinoma")
        expect(page.locator("#model")).to_have_text("deciding · version 8")
        expect(page.get_by_label("Model", exact=True)).to_be_focused()
        page.reload()
        expect(page.get_by_label("Model", exact=True)).to_have_value("deciding")
        choose(page, coloured(MIXED))
        expect(page.locator("#result-model")).to_have_text("deciding")


def test_a_model_of_the_address_that_is_not_here_is_said(browser, two_models):
    for page in open_page(browser, f"{two_models}/?model=gone"):
        expect(page.locator("#model")).to_have_text("gone · not known here")
        expect(page.get_by_role("heading", name="There is no model called gone")).to_be_visible()
        assert page.locator("#models option").all_inner_texts() == ["colours", "deciding"]
        expect(page.locator("#bench")).to_be_hidden()
        drop(page, "scan.png")
        expect(page.locator("#example")).not_to_contain_text("gone")
        page.locator("#known-models").get_by_role("link", name="deciding").click()
        expect(page.locator("#model")).to_have_text("deciding · version 8")
        expect(page.locator("#unknown")).to_be_hidden()
        choose(page, picture())
        expect_answer(page, "Adenocarcinoma")
        expect(page.locator("#example")).to_have_text(re.compile(r"curl .* 'http.*/api/v1/predict\?model=deciding'$"))


def test_a_model_that_is_not_here_is_left_by_the_list_too(browser, two_models):
    for page in open_page(browser, f"{two_models}/?model=gone"):
        expect(page.locator("#unknown")).to_be_visible()
        page.get_by_label("Model", exact=True).select_option("deciding")
        expect(page.locator("#model")).to_have_text("deciding · version 8")
        expect(page.locator("#drop")).to_be_visible()
        expect(page.locator("#unknown")).to_be_hidden()


def test_a_model_that_the_registry_cannot_be_asked_for_is_not_said_to_be_missing(browser, classifier):
    def lost(*_: str) -> list:
        raise TrackingError("the registry does not answer")

    started = ModelHolder(lambda: classifier)
    started.load_once()
    registry = Registry(lost, lost, lost, lambda _: started)
    with running(create_app(Models(started, registry), CONFIG, ROOT)) as address:
        for page in open_page(browser, f"{address}/?model=deciding"):
            expect(page.locator("#model")).to_have_text("deciding · cannot be asked now")
            choose(page, picture())
            expect(page.locator("#error")).to_contain_text("The registry does not answer.")
            expect(page.get_by_role("button", name="Try again")).to_be_visible()


def test_a_notice_says_what_it_means_and_goes_by_itself(browser, classifier):
    holder = ModelHolder(lambda: classifier, lambda _: None)
    holder.load_once()
    with running(create_app(Models(holder), CONFIG, ROOT)) as address:
        for page in open_page(browser, address):
            expect(page.locator("#notice")).to_contain_text("which may have a newer model: it is being asked")
            holder.look_once()
            expect(page.locator("#notice")).to_be_hidden()


def test_the_page_of_the_models_names_champion_and_challenger(browser, two_models):
    for page in open_page(browser, f"{two_models}/models"):
        sheet = page.get_by_role("article", name="deciding")
        expect(sheet).to_contain_text("loads when it is asked")
        sheet.get_by_role("button", name="Load and show all").click()
        versions = sheet.get_by_role("row")
        expect(versions.nth(1)).to_contain_text("8champion")
        expect(versions.nth(1)).to_contain_text("Better by 0.02.")
        expect(versions.nth(2)).to_contain_text("9challenger")
        expect(versions.nth(2)).to_contain_text("Promoted by hand: Looked at by hand.")
