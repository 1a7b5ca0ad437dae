"""Archives: unpacked below their own folder or refused, with the member that is at fault."""

import stat
import zipfile

import pytest

from cnnClassifier.config.data import ZipSource
from cnnClassifier.datasets.sources import find_candidates, unpack_zip
from cnnClassifier.errors import DataError
from ingestion import configure
from pictures import write_tree


def pack(root, archive, prefix=""):
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in sorted(root.rglob("*.png")):
            packed.write(file, prefix + file.relative_to(root).as_posix())
    return archive


@pytest.fixture
def archive(tmp_path):
    return pack(write_tree(tmp_path / "tree"), tmp_path / "data.zip", prefix="Data/")


def unpack(archive, root=""):
    return unpack_zip(ZipSource(kind="zip", path=archive, root=root), archive.parent / "unpacked")


def refusal(archive, root=""):
    with pytest.raises(DataError) as caught:
        unpack(archive, root)
    assert str(caught.value).startswith(f"{archive}: ")
    return str(caught.value)


def test_an_archive_is_listed_like_the_folder_in_it(archive, tmp_path):
    config = configure({"kind": "zip", "path": archive, "root": "Data"})
    candidates, rejected = find_candidates(config, tmp_path / "work")
    assert len(candidates) == 18
    assert candidates[0].path == "test/benign/p006_0.png"
    assert candidates[0].file.read_bytes() == (tmp_path / "tree/test/benign/p006_0.png").read_bytes()
    assert not rejected


def test_a_root_that_is_not_there_lists_what_is(archive):
    assert "no folder 'data' in it; `data_ingestion.source.root` may be one of: Data" in refusal(archive, "data")


def test_a_missing_archive_is_told(tmp_path):
    assert "no such file" in refusal(tmp_path / "gone.zip")


def test_a_folder_in_place_of_an_archive_is_told(tmp_path):
    (tmp_path / "data.zip").mkdir()
    assert "cannot be unpacked: Is a directory; correct `data_ingestion.source.path`" in refusal(tmp_path / "data.zip")


def test_a_cut_archive_is_told(archive):
    archive.write_bytes(archive.read_bytes()[:-200])
    assert "not a whole zip archive" in refusal(archive)


def test_a_text_called_zip_is_told(tmp_path):
    (tmp_path / "data.zip").write_text("not found")
    assert "not a whole zip archive" in refusal(tmp_path / "data.zip")


def test_garbled_content_is_told(archive):
    content = bytearray(archive.read_bytes())
    content[60:140] = bytes(80)
    archive.write_bytes(content)
    assert "not a whole zip archive" in refusal(archive)


def test_an_archive_under_a_password_is_told(archive):
    content = bytearray(archive.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + flags] |= 1
    archive.write_bytes(content)
    assert "password" in refusal(archive)


def test_an_empty_archive_unpacks_to_nothing(tmp_path):
    zipfile.ZipFile(tmp_path / "data.zip", "w").close()
    assert not list(unpack(tmp_path / "data.zip").iterdir())


@pytest.mark.parametrize("name", ["../outside.png", "a/../../outside.png", "/outside.png", "..\\outside.png"])
def test_a_member_that_would_land_outside_is_refused_by_name(name, tmp_path):
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as packed:
        packed.writestr("train/a/1.png", b"x")
        packed.writestr(name, b"x")
    assert f"{name.replace(chr(92), '/')!r} would land outside" in refusal(tmp_path / "data.zip")
    assert not (tmp_path / "outside.png").exists()
    assert not (tmp_path / "unpacked/train").exists()


@pytest.mark.parametrize("name", ["train/a/1.png", "train\\a\\1.png", "./train//a/1.png"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused_by_it(name, tmp_path):
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as packed:
        packed.mkdir("train")
        packed.writestr("train/a/1.png", b"x")
        packed.writestr(name, b"y")
        packed.mkdir("train/")
    assert "'train/a/1.png' is in it 2 times" in refusal(tmp_path / "data.zip")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_that_are_there_twice_do_no_harm_if_they_are_the_same_or_hidden(tmp_path):
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as packed:
        for hidden in (b"x", b"y"):
            packed.writestr("train/a/1.png", b"picture")
            packed.writestr("train/a/.DS_Store", hidden)
    unpack_zip(ZipSource(kind="zip", path=tmp_path / "data.zip"), tmp_path / "unpacked")
    assert (tmp_path / "unpacked/train/a/1.png").read_bytes() == b"picture"


def test_what_is_wrong_in_it_is_told_by_the_archives_name_not_by_a_folder_that_is_gone(archive, tmp_path):
    config = configure({"kind": "zip", "path": archive, "root": "Data"}, classes={"normal": ["[mn]*"], "b": ["x"]})
    with pytest.raises(DataError, match=rf"^{archive}/Data: 'benign/.*' belongs to no class"):
        find_candidates(config, tmp_path / "work")


def test_a_member_that_is_a_link_is_refused_by_name(tmp_path):
    link = zipfile.ZipInfo("train/a/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as packed:
        packed.writestr(link, "/etc/hostname")
    assert "'train/a/link.png' is a link" in refusal(tmp_path / "data.zip")


def test_backslashes_of_windows_programs_are_folders(tmp_path):
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as packed:
        packed.writestr("train\\a\\1.png", b"x")
    assert (unpack(tmp_path / "data.zip") / "train/a/1.png").is_file()
