"""The model card as a page: stands by itself, with its tables and pictures, whatever names the data have."""

import base64
import re
from html.parser import HTMLParser

from cnnClassifier.model_card.card import HTML, MARKDOWN, as_page, write_card
from model_card_facts import AUDIT, CONFIG, METRICS, REGISTERED, SEARCH, SPEC, card


def test_tables_have_as_many_cells_in_every_row():
    for table in re.findall(r"(?:^\|.*\n)+", card(search=SEARCH), re.MULTILINE):
        assert len({re.sub(r"\\.", "", row).count("|") for row in table.splitlines()}) == 1, table


def test_names_from_the_data_cannot_break_the_page():
    evil = "<script>alert(1)</script> | *x*"
    config = CONFIG.model_copy(update={"data_source": evil})
    page = as_page(card(config=config, audit={**AUDIT, "verdict": evil}), "x")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; | *x*" in page


def test_the_page_is_one_file_that_needs_nothing_else(tmp_path):
    write_card(tmp_path / "card", CONFIG, SPEC, AUDIT, METRICS, REGISTERED)
    page = (tmp_path / "card" / HTML).read_text(encoding="utf-8")
    assert (tmp_path / "card" / MARKDOWN).read_text(encoding="utf-8") == card()
    assert "<title>Model card: masses</title>" in page
    seen = Elements()
    seen.feed(page)
    assert not seen.links
    assert {"table", "h2", "blockquote", "style"} <= seen.tags


def test_pictures_that_are_there_stand_in_the_page(tmp_path):
    there = tmp_path / "matrix.png"
    there.write_bytes(b"a picture")
    pictures = {"Confusion matrix": there, "History": tmp_path / "none.png"}
    write_card(tmp_path / "card", CONFIG, SPEC, AUDIT, METRICS, REGISTERED, pictures)
    page = (tmp_path / "card" / HTML).read_text(encoding="utf-8")
    encoded = base64.b64encode(b"a picture").decode()
    assert f'<img src="data:image/png;base64,{encoded}" alt="Confusion matrix">' in page
    assert "History" not in page


class Elements(HTMLParser):
    """The tags of a page, and all that it would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
