"""The site is built without a warning, and what its first pages tell to type works."""

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from commands import blocks_of

from environment import clean_environment
from imports import ROOT
from project import Project, copy_project, make_tiny

pytestmark = pytest.mark.documentation

# In this order: later ones go on where earlier ones stopped.
RUN = ("getting_started.md", "own_data.md", "air_gapped.md", "new_backbone.md")


class Links(HTMLParser):
    """Collects what a page loads or leads to."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.linked: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag == "a":
            self.linked.append(given.get("href") or "")
        elif tag in ("script", "img", "link", "iframe"):
            self.loaded.append(given.get("src") or given.get("href") or "")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", ROOT / "docs", out],
        env=clean_environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def read(page: Path) -> Links:
    links = Links()
    links.feed(page.read_text(encoding="utf-8"))
    return links


def test_pages_lead_only_to_what_is_there_and_load_nothing_from_elsewhere(site):
    pages = [page for page in site.rglob("*.html") if "_static" not in page.parts]
    assert len(pages) > 30
    for page in pages:
        links = read(page)
        assert not [address for address in links.loaded if urlsplit(address).netloc], page
        local = [urlsplit(address).path for address in links.linked if not urlsplit(address).scheme]
        assert not [path for path in local if path and not (page.parent / path).exists()], page


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = copy_project(tmp_path_factory.mktemp("clone") / "project", clean_environment())
    make_tiny(project)
    project.commit("As it is cloned, but small")
    return project


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", RUN)
def test_what_a_page_tells_to_type_works(clone, name):
    scripts = [block.text for block in blocks_of(ROOT / "docs" / name) if block.executed]
    assert scripts
    for script in scripts:
        clone.run("bash", "-euo", "pipefail", "-c", script)


def test_what_the_pages_promise_is_there(clone):
    reports = ("artifacts/evaluate/report.html", "artifacts/data_audit/audit.html", "audit/audit.html")
    promised = ("answers.csv", "carried.json", *reports)
    assert not [name for name in promised if not (clone.root / name).is_file()]
