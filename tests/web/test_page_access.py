"""The page for everybody: keyboard, screen reader, dark, small, without motion. axe-core finds nothing serious."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import as_file, choose, choose_all, expect_answer, expect_done, open_page
from playwright.sync_api import Page, expect
from tiny_app import CONFIG, ROOT, running
from tiny_model import GREY, MIXED, coloured, picture, with_spot

from cnnClassifier.tracking.catalogue import Version
from cnnClassifier.web import ModelHolder, Models, create_app
from cnnClassifier.web.models import Registry
from ct_files import ct, series

pytestmark = pytest.mark.browser

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}


def expect_nothing_serious(page: Page) -> None:
    page.evaluate("Promise.all(document.getAnimations().map(each => each.finished.catch(() => {})))")
    violations = Axe().run(page).response["violations"]
    found = [
        (each["id"], node["target"], node["failureSummary"])
        for each in violations
        for node in each["nodes"]
        if each["impact"] in {"serious", "critical"}
    ]
    assert found == []


@pytest.fixture(params=["light", "dark", "phone"])
def audited(request, browser, deciding_server) -> Page:
    """The page as axe may look at it: it brings its own script, which the page's policy would not let run."""
    context = PHONE if request.param == "phone" else {"color_scheme": request.param}
    for page in open_page(browser, deciding_server, bypass_csp=True, reduced_motion="reduce", **context):
        expect(page.locator("#model")).to_contain_text("version")
        yield page


def test_axe_finds_nothing_serious_from_the_start_to_the_answer(audited):
    expect_nothing_serious(audited)
    choose(audited, picture())
    expect_answer(audited, "Adenocarcinoma")
    expect_nothing_serious(audited)


def test_axe_finds_nothing_serious_where_there_is_no_answer(audited):
    for content in (coloured(MIXED), coloured(GREY), b"only text"):
        choose(audited, content)
        expect(audited.locator("#actions")).to_be_visible()
        expect_nothing_serious(audited)
        audited.get_by_role("button", name="Try another image").click()


def test_axe_finds_nothing_serious_in_tabs_and_table(audited):
    files = [picture(), coloured(MIXED), coloured(GREY), b"only text"]
    choose_all(audited, *(as_file(data, f"{number}.png") for number, data in enumerate(files)))
    expect_done(audited, "4 images, 1 problem")
    expect_nothing_serious(audited)
    audited.get_by_role("button", name="Table").click()
    expect_nothing_serious(audited)


def test_axe_finds_nothing_serious_in_a_series_and_a_slice(audited):
    choose(audited, series([0, 0, -1000]), name="series.zip")
    expect(audited.locator("#chart")).to_be_visible()
    expect_nothing_serious(audited)
    audited.get_by_role("button", name="slice2.dcm").click()
    expect(audited.locator("#dicom")).to_be_visible()
    expect_nothing_serious(audited)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_about_where_a_class_shows(browser, explaining_server, scheme):
    for page in open_page(browser, explaining_server, bypass_csp=True, color_scheme=scheme):
        choose(page, with_spot((250, 0, 0), 15, 33))
        page.get_by_role("button", name="Show where").click()
        expect(page.locator("#overlay")).to_be_visible()
        expect_nothing_serious(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_the_page_of_the_models(browser, carded_server, scheme):
    for page in open_page(browser, f"{carded_server}/models", bypass_csp=True, color_scheme=scheme):
        expect(page.get_by_role("heading", name="carded")).to_be_visible()
        expect_nothing_serious(page)


def test_axe_finds_nothing_serious_in_the_page_of_the_api(browser, server):
    for page in open_page(browser, f"{server}/api/v1/docs", bypass_csp=True):
        expect(page.get_by_role("heading", name="/api/v1/predict")).to_be_visible()
        expect_nothing_serious(page)


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_the_keyboard_is_enough(explaining_page, key):
    page = explaining_page
    # From here on, Playwright catches file choosers: asked for only when the key is pressed, it may be too late.
    page.on("filechooser", lambda _: None)
    expect(page.locator("#model")).to_contain_text("version")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the page's content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Drop images here")).to_be_focused()
    with page.expect_file_chooser() as chooser:
        page.keyboard.press(key)
    chooser.value.set_files(as_file(with_spot((250, 0, 0), 15, 33)))
    expect(page.locator("#label")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("button", name="Show where")).to_be_focused()
    page.keyboard.press(key)
    expect(page.locator("#overlay")).to_be_visible()
    page.locator("#label").focus()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Try another image")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Drop images here")).to_be_focused()


def test_arrow_keys_go_through_the_images(page):
    choose_all(page, *(as_file(picture(label), f"{label}.png") for label in ("normal", "adenocarcinoma")))
    expect_done(page, "2 images")
    expect(page.locator("#progress-text")).to_be_focused()
    page.get_by_role("tab", name="normal.png").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="adenocarcinoma.png")).to_be_focused()
    expect_answer(page, "Adenocarcinoma")
    page.keyboard.press("Home")
    expect_answer(page, "Normal")


def brightness_of_background(page: Page) -> int:
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_the_page_follows_the_reader_s_colour_scheme(browser, server, scheme, dark):
    for page in open_page(browser, server, color_scheme=scheme):
        assert (brightness_of_background(page) < 150) == dark


def expect_fits(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def expect_whole_table(page: Page) -> None:
    """Each image's answer is there without scrolling sideways, and no head is broken in two."""
    answer, confidence = (page.locator(f".row-{part}").first.bounding_box() for part in ("answer", "confidence"))
    assert answer["x"] + answer["width"] <= confidence["x"] + 1
    assert confidence["x"] + confidence["width"] <= 360
    number = page.get_by_role("button", name="#")
    assert number.evaluate("each => each.getClientRects().length") == 1
    assert number.bounding_box()["height"] < 35


def test_nothing_is_cut_off_on_a_phone(browser, server):
    for page in open_page(browser, server, **PHONE):
        choose(page, picture(), name="a_very_long_name_" * 8 + ".png")
        expect_answer(page, "Adenocarcinoma")
        expect_fits(page)
        assert page.get_by_role("button", name="Try another image").bounding_box()["height"] >= 40
        page.get_by_role("button", name="Try another image").click()
        choose_all(page, *(as_file(picture(), f"{number}" + "_long" * 20 + ".png") for number in range(3)))
        expect_done(page, "3 images")
        expect_fits(page)
        page.get_by_role("button", name="Table").click()
        expect_fits(page)
        expect_whole_table(page)
        page.get_by_role("button", name="Start over").click()
        choose(page, ct(0, 0), name="scan.dcm")
        expect(page.locator("#dicom")).to_be_visible()
        expect_fits(page)


@pytest.mark.parametrize("width", [320, 360])
def test_a_long_sentence_of_the_gate_does_not_widen_the_page_of_the_models(browser, classifier, width):
    gate = "not better: grouped_cv.balanced_accuracy is 0.7012, not above the champion's 0.7011 by at least 0.005"
    holder = ModelHolder(lambda: classifier)
    holder.load_once()
    registry = Registry(
        names=lambda: ["colours"],
        offers=["colours"].__contains__,
        versions=lambda _: [Version("7", ("champion",), gate), Version("8", ("challenger",), gate)],
        holder=lambda _: holder,
    )
    with running(create_app(Models(holder, registry), CONFIG, ROOT)) as address:
        for page in open_page(browser, f"{address}/models", **PHONE | {"viewport": {"width": width, "height": 740}}):
            expect(page.get_by_role("row")).to_have_count(3)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            region = page.get_by_role("region", name="Versions of colours")
            assert region.evaluate("each => each.scrollWidth <= each.clientWidth")


def test_a_phone_offers_its_camera_and_a_desk_does_not(browser, server):
    for page in open_page(browser, server, **PHONE):
        expect(page.get_by_label("Take a picture")).to_be_visible()
        page.get_by_label("Take a picture").set_input_files(as_file(picture("normal"), "camera.png"))
        expect_answer(page, "Normal")
    for page in open_page(browser, server):
        expect(page.get_by_label("Take a picture")).to_be_hidden()


def test_nothing_turns_for_those_who_want_no_motion(browser, server):
    for page in open_page(browser, server, reduced_motion="reduce"):
        assert page.evaluate("getComputedStyle(document.querySelector('.spinner')).animationName") == "none"
