"""Files and folders appear whole or not at all; nothing is left lying about."""

import math
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from cnnClassifier.errors import DataError
from cnnClassifier.files import (
    naming_database,
    new_file,
    new_folder,
    read_json,
    scratch_folder,
    write_json,
    write_text,
)
from cnnClassifier.quiet import native_stderr_held
from environment import clean_environment
from small_disk import room_for


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fill_a_folder(path: Path, size: int) -> None:
    with new_folder(path) as folder, (folder / "large").open("wb") as file:
        file.write(bytes(size))


def fail_in_a_file(path: Path) -> None:
    with new_file(path) as partial:
        partial.write_text("half")
        raise ZeroDivisionError


def fail_in_a_folder(path: Path) -> None:
    with new_folder(path) as folder:
        (folder / "half").touch()
        raise ZeroDivisionError


def fail_in_a_scratch_folder(path: Path) -> None:
    with scratch_folder(path) as folder:
        (folder / "half").touch()
        raise ZeroDivisionError


def fail_with_a_native_message() -> None:
    with native_stderr_held():
        os.write(2, b"the reason\n")
        raise ZeroDivisionError


def test_text_and_json_come_back_as_written(tmp_path):
    write_text("Grüße\n", tmp_path / "new/folder/text.txt")
    assert (tmp_path / "new/folder/text.txt").read_text(encoding="utf-8") == "Grüße\n"
    write_json({"b": [1, 2.5], "a": None}, tmp_path / "content.json")
    assert read_json(tmp_path / "content.json") == {"b": [1, 2.5], "a": None}
    assert (tmp_path / "content.json").read_text().index('"b"') < (tmp_path / "content.json").read_text().index('"a"')
    assert names(tmp_path) == ["content.json", "new"]


def test_json_that_other_programs_cannot_read_is_not_written(tmp_path):
    write_json({"value": 1}, tmp_path / "content.json")
    with pytest.raises(ValueError, match="JSON"):
        write_json({"value": math.nan}, tmp_path / "content.json")
    assert read_json(tmp_path / "content.json") == {"value": 1}


@pytest.mark.parametrize("content", [b"", b'{"name": "chest', b"\xff\xfe{}"])
def test_a_damaged_json_file_is_named_with_what_to_do(tmp_path, content):
    (tmp_path / "content.json").write_bytes(content)
    with pytest.raises(DataError, match=r"content\.json: damaged, .*; bring a whole copy back, or delete it"):
        read_json(tmp_path / "content.json")


def test_a_file_whose_writing_fails_stays_what_it_was(tmp_path):
    write_text("old", tmp_path / "file")
    with pytest.raises(ZeroDivisionError):
        fail_in_a_file(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "old"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("write", [lambda path: write_text("x" * 5000, path), lambda path: fill_a_folder(path, 5000)])
def test_the_error_of_a_full_disk_has_the_name_that_the_user_gave(tmp_path, write):
    with room_for(1000), pytest.raises(OSError, match="too large") as raised:
        write(tmp_path / "out")
    assert raised.value.filename == str(tmp_path / "out")
    assert not names(tmp_path)


def test_what_sqlite_says_has_the_name_of_its_file(tmp_path):
    path = tmp_path / "list.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE files (path TEXT)")
        full = pytest.raises(DataError, match=r"list\.sqlite: SQLite says: ")
        with room_for(path.stat().st_size), full, naming_database(path), database:
            database.execute("INSERT INTO files VALUES (?)", ("x" * 10_000,))


def test_a_new_folder_replaces_the_old_one_and_all_that_was_in_it(tmp_path):
    for content in ("first", "second"):
        with new_folder(tmp_path / "a/b") as folder:
            (folder / content).write_text(content)
    assert names(tmp_path / "a/b") == ["second"]
    assert names(tmp_path / "a") == ["b"]


def test_a_new_folder_goes_where_a_link_leads(tmp_path):
    (tmp_path / "disk/old").mkdir(parents=True)
    (tmp_path / "link").symlink_to("disk")
    with new_folder(tmp_path / "link") as folder:
        (folder / "new").touch()
    assert (tmp_path / "link").is_symlink()
    assert names(tmp_path / "disk") == ["new"]


def test_a_folder_whose_filling_fails_stays_what_it_was(tmp_path):
    with new_folder(tmp_path / "a") as folder:
        (folder / "old").touch()
    with pytest.raises(ZeroDivisionError):
        fail_in_a_folder(tmp_path / "a")
    assert names(tmp_path / "a") == ["old"]
    assert names(tmp_path) == ["a"]


def test_a_kill_leaves_the_old_folder_and_the_next_run_is_not_hindered(tmp_path):
    script = (
        "import os, sys; from pathlib import Path; from cnnClassifier.files import new_folder\n"
        "with new_folder(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'file').write_text(sys.argv[2])\n"
        "    if sys.argv[2] == 'half': os._exit(9)\n"
    )
    ends = [
        subprocess.run([sys.executable, "-c", script, str(tmp_path / "a"), text], env=clean_environment(), check=False)
        for text in ("old", "half")
    ]
    assert [end.returncode for end in ends] == [0, 9]
    assert (tmp_path / "a/file").read_text() == "old"
    with new_folder(tmp_path / "a") as folder:
        assert not names(folder)
    assert names(tmp_path) == ["a"]


def test_a_scratch_folder_starts_empty_and_goes_however_the_block_ends(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work/left over").touch()
    with scratch_folder(tmp_path / "work") as folder:
        assert not names(folder)
        (folder / "deep/er").mkdir(parents=True)
    assert not names(tmp_path)
    with pytest.raises(ZeroDivisionError):
        fail_in_a_scratch_folder(tmp_path / "work")
    assert not names(tmp_path)


def test_native_messages_are_held_back(capfd):
    with native_stderr_held():
        os.write(2, b"a screenful about drivers\n")
    os.write(2, b"later\n")
    assert capfd.readouterr().err == "later\n"


def test_native_messages_are_shown_when_the_block_fails(capfd):
    with pytest.raises(ZeroDivisionError):
        fail_with_a_native_message()
    assert "the reason" in capfd.readouterr().err
