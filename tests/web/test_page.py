"""The page in a real browser, against the real server. A missing browser is a failure."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from tiny_app import CONFIG, ROOT, app_serving, app_without_model, running
from tiny_model import GREY, LEANING, MIXED, SPEC, coloured, noise, picture, write_package

from cnnClassifier import DISCLAIMER
from cnnClassifier.inference import Classifier
from cnnClassifier.web import ModelHolder, Models, create_app

pytestmark = pytest.mark.browser

CHROMIUM = "/usr/bin/chromium"
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, server: str) -> Iterator[Page]:
    yield from open_page(browser, server)


def open_page(browser: Browser, address: str, **context) -> Iterator[Page]:
    """A page at `address`; afterwards nothing may have broken the content security policy or thrown."""
    with browser.new_context(**context) as session:
        page = session.new_page()
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text) if "Policy" in message.text else None)
        page.goto(address)
        yield page
        assert complaints == []


def as_file(data: bytes, name: str = "scan.png") -> dict:
    return {"name": name, "mimeType": "image/png", "buffer": data}


def choose(page: Page, data: bytes, name: str = "scan.png") -> None:
    page.get_by_label("Drop an image here").set_input_files(as_file(data, name))


def drop(page: Page, *names: str) -> None:
    """Drop files of one red picture each on the page's background, as a file manager does."""
    page.evaluate(
        """async ([names, bytes]) => {
            const transfer = new DataTransfer();
            for (const name of names) transfer.items.add(new File([new Uint8Array(bytes)], name));
            document.querySelector("h1").dispatchEvent(
                new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true}));
        }""",
        [names, list(picture())],
    )


def expect_answer(page: Page, label: str) -> None:
    expect(page.locator("#label")).to_have_text(label)
    expect(page.locator("#result")).to_be_visible()
    expect(page.locator("#error")).to_be_hidden()


def test_a_good_image_is_shown_and_classified_without_a_reload(page):
    page.evaluate("window.sameDocument = true")
    choose(page, picture("squamous_cell_carcinoma"))
    expect(page.get_by_alt_text("The chosen image")).to_be_visible()
    expect_answer(page, "Squamous cell carcinoma")
    expect(page.locator("#confidence")).to_have_text("> 99.9 %")
    expect(page.locator("#result-model")).to_have_text("colours")
    expect(page.locator("#result-version")).to_have_text("7")
    expect(page.locator("#result-disclaimer")).to_have_text(DISCLAIMER)
    assert page.evaluate("window.sameDocument")


def test_every_class_has_a_bar_that_a_screen_reader_reads(page):
    choose(page, picture())
    bars = page.get_by_role("meter")
    expect(bars).to_have_count(4)
    expect(bars.first).to_have_attribute("aria-label", "Adenocarcinoma")
    expect(bars.first).to_have_attribute("aria-valuenow", "100.0")
    assert [bar.get_attribute("aria-label") for bar in bars.all()].count("Normal") == 1


@pytest.fixture(scope="module")
def deciding_server(deciding: Classifier) -> Iterator[str]:
    with running(app_serving(deciding)) as address:
        yield address


@pytest.fixture
def deciding_page(browser: Browser, deciding_server: str) -> Iterator[Page]:
    yield from open_page(browser, deciding_server)


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


def test_the_same_file_may_be_tried_again(page):
    for _ in range(2):
        choose(page, picture("normal"))
        expect_answer(page, "Normal")
        page.get_by_role("button", name="Try another image").click()
        expect(page.locator("#drop")).to_be_visible()


def test_a_file_dropped_anywhere_is_taken(page):
    drop(page, "scan.png")
    expect_answer(page, "Adenocarcinoma")


def test_several_dropped_files_are_refused_in_words(page):
    drop(page, "one.png", "two.png")
    expect(page.get_by_role("alert")).to_contain_text("One image at a time")


def test_a_file_name_is_never_markup(page):
    choose(page, picture(), name="<img src=x onerror=alert(1)>.png")
    expect_answer(page, "Adenocarcinoma")
    expect(page.locator("#caption")).to_contain_text("<img src=x onerror=alert(1)>.png")


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_the_keyboard_is_enough(page, key):
    # From here on, Playwright catches file choosers: asked for only when the key is pressed, it may be too late.
    page.on("filechooser", lambda _: None)
    page.keyboard.press("Tab")
    expect(page.get_by_label("Drop an image here")).to_be_focused()
    with page.expect_file_chooser() as chooser:
        page.keyboard.press(key)
    chooser.value.set_files(as_file(picture("normal")))
    expect(page.locator("#label")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Try another image")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Drop an image here")).to_be_focused()


@pytest.fixture(scope="module")
def carded_server(carded: Classifier) -> Iterator[str]:
    with running(app_serving(carded)) as address:
        yield address


def test_the_model_s_card_opens_beside_the_page(browser, carded_server):
    for page in open_page(browser, carded_server):
        with page.expect_popup() as popup:
            page.get_by_role("banner").get_by_role("link", name="Model card").click()
        expect(popup.value.get_by_role("heading", name="Model card: colours")).to_be_visible()
        expect(page.locator("#drop")).to_be_visible()


def test_the_card_s_own_style_is_let_through(browser, carded_server):
    for card in open_page(browser, f"{carded_server}/model-card"):
        assert card.evaluate("getComputedStyle(document.body).maxWidth") == "896px"
        assert card.evaluate("getComputedStyle(document.querySelector('td')).textAlign") == "right"


def test_a_model_without_a_card_has_no_link_to_one(page):
    expect(page.locator("#model")).to_have_text("colours · version 7")
    expect(page.locator("#model-card")).to_be_hidden()


def brightness_of_background(page: Page) -> int:
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_the_page_follows_the_reader_s_colour_scheme(browser, server, scheme, dark):
    for page in open_page(browser, server, color_scheme=scheme):
        assert (brightness_of_background(page) < 150) == dark


def test_nothing_is_cut_off_on_a_phone(browser, server):
    for page in open_page(browser, server, viewport={"width": 360, "height": 740}):
        choose(page, picture(), name="a_very_long_name_" * 8 + ".png")
        expect_answer(page, "Adenocarcinoma")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert page.get_by_role("button", name="Try another image").bounding_box()["height"] >= 40


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
        arrival.wait(10)
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
