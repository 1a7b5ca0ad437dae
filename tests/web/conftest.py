from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import open_page, started_browser
from flask import Flask
from flask.testing import FlaskClient
from playwright.sync_api import Browser, Page
from tiny_app import app_serving, app_without_model, running
from tiny_model import write_deciding_package, write_explaining_package, write_package, write_package_with_card

from cnnClassifier.inference import Classifier


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_package(tmp_path_factory.mktemp("models") / "colours")


@pytest.fixture(scope="session")
def classifier(package: Path) -> Classifier:
    return Classifier.load(package, name="colours", version="7", threads=1)


@pytest.fixture(scope="session")
def deciding(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """A model with every rule, which answers, abstains or refuses by a picture's colour."""
    package = write_deciding_package(tmp_path_factory.mktemp("models") / "deciding")
    return Classifier.load(package, name="deciding", version="8", threads=1)


@pytest.fixture(scope="session")
def carded(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """A model whose package has a card."""
    package = write_package_with_card(tmp_path_factory.mktemp("models") / "carded")
    return Classifier.load(package, name="carded", version="9", threads=1)


@pytest.fixture(scope="session")
def app(classifier: Classifier) -> Flask:
    return app_serving(classifier)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def client_without_model() -> FlaskClient:
    return app_without_model().test_client()


@pytest.fixture(scope="session")
def server(app: Flask) -> Iterator[str]:
    with running(app) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with started_browser() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, server: str) -> Iterator[Page]:
    yield from open_page(browser, server)


@pytest.fixture(scope="session")
def deciding_server(deciding: Classifier) -> Iterator[str]:
    with running(app_serving(deciding)) as address:
        yield address


@pytest.fixture
def deciding_page(browser: Browser, deciding_server: str) -> Iterator[Page]:
    yield from open_page(browser, deciding_server)


@pytest.fixture(scope="session")
def carded_server(carded: Classifier) -> Iterator[str]:
    with running(app_serving(carded)) as address:
        yield address


@pytest.fixture(scope="session")
def explaining_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A model that says where each class shows."""
    package = write_explaining_package(tmp_path_factory.mktemp("models") / "explaining")
    with running(app_serving(Classifier.load(package, "explaining", "10", threads=1))) as address:
        yield address


@pytest.fixture
def explaining_page(browser: Browser, explaining_server: str) -> Iterator[Page]:
    yield from open_page(browser, explaining_server)
