"""Several images on the page: tabs, the table, the way back, downloads."""

import csv
import io
import json

import pytest
import requests
from browser import as_file, choose, choose_all, drop, expect_answer, expect_done, names
from playwright.sync_api import Page, expect
from tiny_model import GREY, MIXED, coloured, picture

from ct_files import series

pytestmark = pytest.mark.browser


def test_a_bad_file_among_several_is_explained_and_the_others_are_answered(page):
    choose_all(
        page,
        as_file(picture("normal"), "one.png"),
        as_file(b"only text", "two.png"),
        as_file(picture("squamous_cell_carcinoma"), "three.png"),
    )
    expect_done(page, "3 images, 1 problem")
    expect_answer(page, "Normal")
    page.get_by_role("tab", name="two.png").click()
    expect(page.get_by_role("alert")).to_contain_text("This image cannot be read")
    page.get_by_role("tab", name="three.png").click()
    expect_answer(page, "Squamous cell carcinoma")
    expect(page.locator("#caption")).to_contain_text("three.png")


def test_several_dropped_files_are_all_taken_and_given_back_by_starting_over(page):
    drop(page, "one.png", "two.png")
    expect_done(page, "2 images")
    expect(page.get_by_role("tab")).to_have_count(2)
    page.get_by_role("button", name="Start over").click()
    expect(page.get_by_label("Drop images here")).to_be_focused()
    expect(page.get_by_role("tab")).to_have_count(0)


def test_at_most_two_requests_are_under_way_at_a_time(page):
    most, under_way = 0, set()

    def started(request) -> None:
        nonlocal most
        if request.method == "POST":
            under_way.add(request)
            most = max(most, len(under_way))

    page.on("request", started)
    page.on("response", lambda response: under_way.discard(response.request))
    choose_all(page, *(as_file(picture(), f"{number}.png") for number in range(7)))
    expect_done(page, "7 images")
    assert 1 <= most <= 2


@pytest.fixture
def table(deciding_page: Page) -> Page:
    """The table of an answer, an abstention, a refusal and a problem."""
    choose_all(
        deciding_page,
        as_file(picture(), "=SUM(1).png"),
        as_file(coloured(MIXED), "mixed.png"),
        as_file(coloured(GREY), "grey, and so on.png"),
        as_file(b"only text", "text.png"),
    )
    expect_done(deciding_page, "4 images, 1 problem")
    deciding_page.get_by_role("button", name="Table").click()
    return deciding_page


def test_the_table_says_of_each_image_what_came_of_it(table):
    assert table.locator("#rows .row-state").all_inner_texts() == [
        "Answer",
        "Too close to call",
        "Another kind",
        "Problem",
    ]
    confidences = table.locator("#rows .row-confidence").all_inner_texts()
    assert ["%" in text for text in confidences] == [True, False, False, False]
    expect(table.locator("#rows img").first).to_be_visible()


def test_the_table_is_filtered_and_sorted(table):
    table.get_by_label("Show").select_option("Problem")
    assert names(table) == ["text.png"]
    table.get_by_label("Show").select_option("All")
    table.get_by_label("Find").fill("adeno")
    assert names(table) == ["=SUM(1).png", "mixed.png"]
    expect(table.locator("#shown")).to_have_text("2 of 4 images")
    table.get_by_label("Find").fill("")
    table.get_by_role("button", name="Name").click()
    assert names(table) == sorted(names(table))
    table.get_by_role("button", name="Name").click()
    expect(table.get_by_role("columnheader", name="Name")).to_have_attribute("aria-sort", "descending")
    assert names(table) == sorted(names(table), reverse=True)


def test_a_row_opens_its_image(table):
    table.get_by_role("button", name="mixed.png").click()
    expect(table.locator("#label")).to_have_text("Could be adenocarcinoma or large cell carcinoma")
    expect(table.locator("#label")).to_be_focused()


def test_the_way_back_from_an_image_leads_to_its_row(table):
    table.get_by_label("Find").fill("x")
    table.get_by_role("button", name="text.png").click()
    expect(table.get_by_role("alert")).to_contain_text("This image cannot be read")
    table.go_back()
    expect(table.get_by_role("button", name="text.png")).to_be_focused()
    expect(table.get_by_label("Find")).to_have_value("x")
    table.go_forward()
    expect(table.get_by_role("alert")).to_contain_text("This image cannot be read")
    table.get_by_role("button", name="Table").click()
    expect(table.get_by_role("button", name="text.png")).to_be_focused()
    table.get_by_role("button", name="text.png").click()
    table.go_back()
    expect(table.get_by_role("button", name="text.png")).to_be_focused()


def test_the_way_back_is_that_of_the_images_that_are_chosen_now(table):
    table.get_by_role("button", name="mixed.png").click()
    table.get_by_role("button", name="Start over").click()
    choose_all(table, *(as_file(picture(), f"{number}.png") for number in range(9)))
    expect_done(table, "9 images")
    table.get_by_role("button", name="7.png").click()
    expect(table.locator("#label")).to_be_focused()
    table.go_back()
    expect(table.get_by_role("button", name="7.png")).to_be_focused()
    skip = table.get_by_role("link", name="Skip to the page's content")
    skip.press("Enter")
    expect(table.get_by_role("main")).to_be_focused()
    table.get_by_role("button", name="Start over").click()
    drop(table, "one.png", "two.png")
    expect_done(table, "2 images")
    skip.press("Enter")
    expect(table.get_by_role("tab").first).to_be_visible()


def test_the_browser_asks_before_several_answers_are_left(table):
    asked = []
    table.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    table.get_by_role("link", name="Models").click()
    expect(table.get_by_role("heading", level=1)).to_have_text("Models")
    assert asked == ["beforeunload"]


def test_the_picker_keeps_no_file_that_could_not_be_chosen_again(page):
    """After the way back to this page the browser would put it there again, and choosing it would be no change."""
    choose(page, picture())
    expect_answer(page, "Adenocarcinoma")
    assert page.locator("#picker").input_value() == ""


def test_the_downloaded_csv_has_every_image_and_no_formula(table):
    with table.expect_download() as download:
        table.get_by_role("button", name="Download CSV").click()
    assert download.value.suggested_filename == "answers.csv"
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text(encoding="utf-8-sig"))))
    assert [row["name"] for row in rows] == ["'=SUM(1).png", "mixed.png", "grey, and so on.png", "text.png"]
    assert [row["state"] for row in rows] == ["answer", "abstained", "refused", "problem"]
    assert [row["label"] for row in rows] == ["adenocarcinoma", "", "", ""]
    assert rows[1]["prediction_set"] == "adenocarcinoma; large_cell_carcinoma"
    assert float(rows[0]["probability of adenocarcinoma"]) == pytest.approx(1, abs=1e-3)
    assert rows[3]["problem"].startswith("not an image in a format")
    assert {row["index"] for row in rows} == {"0"}  # each is the one file of its request
    assert len({row["request_id"] for row in rows}) == 4
    assert (rows[0]["model"], rows[0]["version"]) == ("deciding", "8")


def test_the_downloaded_json_has_the_answers_as_the_api_gave_them(table):
    with table.expect_download() as download:
        table.get_by_role("button", name="Download JSON").click()
    batch = json.loads(download.value.path().read_text(encoding="utf-8"))
    assert (batch["answered"], batch["failed"]) == (3, 1)
    assert [item["answer"] and item["answer"]["state"] for item in batch["results"]] == [
        "answer",
        "abstained",
        "refused",
        None,
    ]
    assert batch["results"][3]["problem"]["title"] == "This image cannot be read"
    assert (batch["model"], batch["version"], batch["request_id"]) == ("deciding", "8", None)


def test_what_is_downloaded_of_a_series_is_what_the_api_answers(page, server):
    slices = series([0, 0, -1000])
    choose(page, slices, name="series.zip")
    expect_done(page, "3 images")
    texts = []
    for kind in ("JSON", "CSV"):
        with page.expect_download() as download:
            page.get_by_role("button", name=f"Download {kind}").click()
        texts.append(download.value.path().read_text(encoding="utf-8-sig"))
    told = {"X-Request-ID": json.loads(texts[0])["request_id"]}
    sent = [requests.post(f"{server}/api/v1/batch?format={kind}", files={"image": ("a.zip", slices)}, headers=told,
                          timeout=30) for kind in ("json", "csv")]  # fmt: skip
    assert without_times(json.loads(texts[0])) == without_times(sent[0].json())
    assert list(csv.reader(io.StringIO(texts[1]))) == list(csv.reader(io.StringIO(sent[1].text)))


def without_times(batch: dict) -> dict:
    answers = [item["answer"] | {"answered_at": None} for item in batch["results"]]
    return batch | {
        "results": [item | {"answer": answer} for item, answer in zip(batch["results"], answers, strict=True)]
    }
