"""The page in Debian's chromium: opening it, choosing files, and what is expected of every page."""

from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask, Response, request
from playwright.sync_api import Browser, Page, expect, sync_playwright
from tiny_model import picture

from cnnClassifier.web.answers import Problem
from cnnClassifier.web.problems import PROBLEM_JSON

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
KEY_WANTED = Problem(title="Unauthorized", status=401, detail="this server asks for an API key")
PATIENCE = 20_000  # milliseconds: for what is there at once on a machine that has nothing else to do


@contextmanager
def started_browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield browser
        browser.close()


def open_page(browser: Browser, address: str, **context) -> Iterator[Page]:
    """A page at `address`; afterwards nothing may have broken the content security policy or thrown."""
    with browser.new_context(**context) as session:
        page = session.new_page()
        page.set_default_timeout(PATIENCE)
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text) if "Policy" in message.text else None)
        page.goto(address)
        yield page
        assert complaints == []


def as_file(data: bytes, name: str = "scan.png", kind: str = "image/png") -> dict:
    return {"name": name, "mimeType": kind, "buffer": data}


def choose(page: Page, data: bytes, name: str = "scan.png") -> None:
    choose_all(page, as_file(data, name))


def choose_all(page: Page, *files: dict) -> None:
    page.get_by_label("Drop images here").set_input_files(list(files))


def drop(page: Page, *names: str) -> None:
    """Drop files of one red picture each on the page's background, as a file manager does."""
    _transfer(page, "drop", names)


def paste(page: Page, *names: str) -> None:
    """Paste files of one red picture each, as after "copy image" elsewhere."""
    _transfer(page, "paste", names)


def expect_answer(page: Page, label: str) -> None:
    expect(page.locator("#label")).to_have_text(label)
    expect(page.locator("#result")).to_be_visible()
    expect(page.locator("#error")).to_be_hidden()


def expect_done(page: Page, text: str) -> None:
    """Of several images, all are answered for; `text` is what is said of them."""
    expect(page.locator("#progress-text")).to_have_text(text)


def names(page: Page) -> list[str]:
    """The files in the table's rows that are shown."""
    return page.locator("#rows tr:visible th").all_inner_texts()


def refuse(app: Flask, path: str, problem: Problem, times: int | None = None, **headers: str) -> list[str]:
    """Answer requests to `path` with a problem until one has the right key, or so many times; gives who was refused."""
    refused: list[str] = []

    def stand_before() -> Response | None:
        if request.path != path or (times is not None and len(refused) >= times):
            return None
        if request.headers.get("X-API-Key") == "open-sesame":
            return None
        refused.append(request.headers.get("X-API-Key", ""))
        document = problem.model_dump_json(exclude_none=True)
        return Response(document, status=problem.status, content_type=PROBLEM_JSON, headers=headers)

    app.before_request(stand_before)
    return refused


def _transfer(page: Page, event: str, names: tuple[str, ...]) -> None:
    page.evaluate(
        """async ([event, names, bytes]) => {
            const transfer = new DataTransfer();
            for (const name of names) transfer.items.add(new File([new Uint8Array(bytes)], name, {type: "image/png"}));
            const options = {bubbles: true, cancelable: true};
            document.querySelector("h1").dispatchEvent(event === "paste"
                ? new ClipboardEvent("paste", {clipboardData: transfer, ...options})
                : new DragEvent("drop", {dataTransfer: transfer, ...options}));
        }""",
        [event, names, list(picture())],
    )
