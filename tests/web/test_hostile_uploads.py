"""The corpus of hostile files, posted: a status that says what is wrong, and never a fault of the server's."""

import io

import pytest
from tiny_app import CONFIG

from hostile.corpus import BODY_LIMIT, CASES, MAX_PIXELS

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_hostile_file_has_its_status(client, case):
    response = client.post("/predict", data={"image": (io.BytesIO(case.data), "scan.jpg")})
    assert response.status_code == case.status
    if case.status != 200:
        assert response.content_type == "application/problem+json"
        assert response.json["status"] == case.status


def test_the_corpus_is_written_for_these_limits():
    assert CONFIG.max_upload_mb * 2**20 == BODY_LIMIT
    assert CONFIG.max_megapixels * 1_000_000 == MAX_PIXELS
    assert len(CASES) >= 60
