"""Where a command may write: new places, empty ones, and what it wrote itself; never over files of others."""

import os
from pathlib import Path

import pytest

from cnnClassifier.destinations import Earlier, check_new_file, check_new_folder
from cnnClassifier.errors import ConfigError
from cnnClassifier.files import new_file

EARLIER = Earlier("an earlier page", always=("page.html", "page.json"), perhaps=("more.csv",))


def folder_of(root: Path, *names: str) -> Path:
    root.mkdir()
    for name in names:
        (root / name).touch()
    return root


@pytest.mark.parametrize("names", [(), ("page.html", "page.json"), ("more.csv", "page.html", "page.json")])
def test_empty_and_earlier_folders_may_be_replaced(tmp_path, names):
    check_new_folder(folder_of(tmp_path / "out", *names), EARLIER)
    check_new_folder(tmp_path / "not/there", EARLIER)


@pytest.mark.parametrize(
    ("names", "stranger"),
    [
        (("thesis.txt",), "thesis.txt"),
        (("page.json",), "page.json"),  # somebody else's: an earlier one is there whole
        (("page.html", "page.json", ".notes"), ".notes"),
    ],
)
def test_what_another_put_there_is_named_and_stays(tmp_path, names, stranger):
    out = folder_of(tmp_path / "out", *names)
    with pytest.raises(ConfigError, match=rf"out: something else is there \({stranger}\)"):
        check_new_folder(out, EARLIER)


def test_a_file_is_not_taken_for_a_folder(tmp_path):
    (tmp_path / "x.png").touch()
    with pytest.raises(ConfigError, match="something else is there"):
        check_new_folder(tmp_path / "x.png", EARLIER)


def test_neither_what_is_read_nor_the_working_folder_may_be_in_it(tmp_path, monkeypatch):
    read = folder_of(tmp_path / "read")
    (tmp_path / "link").symlink_to(read)
    for out in (tmp_path, read, tmp_path / "link", read / "out"):
        with pytest.raises(ConfigError, match="name another place"):
            check_new_folder(out, EARLIER, read)
    monkeypatch.chdir(folder_of(tmp_path / "project"))
    for out in (Path(), tmp_path / "project"):
        with pytest.raises(ConfigError, match="project lies in it and would be lost"):
            check_new_folder(out, EARLIER)


def test_a_file_may_be_new_or_replace_an_older_one(tmp_path):
    (tmp_path / "old.csv").write_text("old")
    for name in ("old.csv", "not/there/new.csv"):
        check_new_file(tmp_path / name, read=[tmp_path / "image.png"])
    assert (tmp_path / "old.csv").read_text() == "old"
    assert not list((tmp_path / "not/there").iterdir())


def test_a_folder_and_what_is_read_are_no_place_for_a_file(tmp_path):
    (tmp_path / "image.png").touch()
    (tmp_path / "link.png").symlink_to("image.png")
    with pytest.raises(ConfigError, match="a folder; name a file in it"):
        check_new_file(tmp_path)
    for out in (tmp_path / "image.png", tmp_path / "link.png"):
        with pytest.raises(ConfigError, match="is read by this command and would be lost"):
            check_new_file(out, read=[tmp_path / "image.png"])


def test_devices_and_pipes_are_no_place_for_a_file_nor_are_links_to_them(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for out in (tmp_path / "pipe", tmp_path / "link"):
        with pytest.raises(ConfigError, match="no regular file"):
            check_new_file(out)
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("target", ["there.csv", "not/there/yet.csv"])
def test_a_link_stays_and_what_it_leads_to_is_the_place(tmp_path, target):
    (tmp_path / "there.csv").touch()
    (tmp_path / "link.csv").symlink_to(target)
    with new_file(check_new_file(tmp_path / "link.csv")) as partial:
        partial.write_text("new")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / target).read_text() == "new"


def test_where_nothing_can_be_written_the_system_says_it_at_once():
    with pytest.raises(FileNotFoundError):
        check_new_file(Path("/proc/not there/page.html"))
