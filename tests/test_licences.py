"""The list of licences has the packages of the locks, and no term that a user would have to know of is among them."""

import re
from importlib.metadata import distributions

from imports import ROOT

LISTED = dict(re.findall(r"^\| \**([\w.-]+)\** \| (.*) \|$", (ROOT / "docs/licences.md").read_text(), re.MULTILINE))
# Each is told of in docs/licences.py.
KNOWN_COPYLEFT = {"asyncssh", "dulwich", "grandalf", "pygit2"}


def locked(name: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9][\w.-]*)==", (ROOT / name).read_text(), flags=re.MULTILINE))


def test_every_package_of_the_lock_that_is_installed_here_is_listed():
    installed = {re.sub(r"[-_.]+", "-", each.name).lower() for each in distributions()}
    assert locked("requirements.lock") & installed <= set(LISTED), "make licences"


def test_nothing_is_listed_that_no_lock_has():
    assert set(LISTED) - {"package"} <= locked("requirements.lock"), "make licences"


def test_copyleft_is_known_of_and_not_in_the_serving_environment():
    found = {name for name, licence in LISTED.items() if "GPL" in licence and "LGPL" not in licence}
    assert found == KNOWN_COPYLEFT
    assert not found & locked("requirements-serve.lock")
