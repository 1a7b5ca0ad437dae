"""Which files of a folder are offered, under which class, split and group; what is refused by name."""

import os
import re

import pytest

from cnnClassifier.datasets.candidates import find_class
from cnnClassifier.datasets.folders import list_folder, walk_files
from cnnClassifier.errors import DataError
from ingestion import configure
from pictures import write_picture, write_tree


def listed(root, **changes):
    candidates, rejected = list_folder(root, configure(root, **changes))
    return {item.path: item for item in candidates}, {item.path: item.reason for item in rejected}


def refusal(root, **changes):
    with pytest.raises(DataError) as caught:
        list_folder(root, configure(root, **changes))
    return str(caught.value)


def test_split_and_class_come_from_the_folders_in_path_order(tmp_path):
    found, rejected = listed(write_tree(tmp_path, each=1))
    assert list(found) == sorted(found)
    image = found["valid/normal/p005_0.png"]
    assert (image.split, image.label) == ("valid", "normal")
    assert len(found) == 9
    assert not rejected


def test_without_split_folders_the_split_is_open(tmp_path):
    found, _ = listed(write_tree(tmp_path, splits=[""]), random_split={})
    assert {(item.split, item.label) for item in found.values()} == {
        (None, "benign"), (None, "malignant"), (None, "normal"),
    }  # fmt: skip


def test_split_folders_may_have_other_names_and_lie_deeper(tmp_path):
    write_tree(tmp_path, splits=["Data/Training", "Data/Testing"])
    found, _ = listed(tmp_path, splits={"train": "Data/Training/", "test": "./Data/Testing"})
    assert {item.split for item in found.values()} == {"train", "test"}
    assert all(item.path.startswith("Data/T") for item in found.values())


def test_images_may_lie_deeper_than_their_class_folder(tmp_path):
    write_picture(write_tree(tmp_path) / "train/normal/series 3/deep.png", seed=99)
    assert listed(tmp_path)[0]["train/normal/series 3/deep.png"].label == "normal"


# --- classes ------------------------------------------------------------------------------

PATTERNS = {
    "adenocarcinoma": ["adenocarcinoma*"],
    "glioma": ["MRI/Tumor/glioma*"],
    "mri_tumor": ["MRI/Tumor/tumor*"],
    "normal": ["normal", "NORMAL"],
}


@pytest.mark.parametrize(("path", "label"), [
    ("adenocarcinoma_left.lower.lobe_T2_N0_M0_Ib/a.png", "adenocarcinoma"),
    ("NORMAL/a.png", "normal"),
    ("MRI/Tumor/glioma (3).jpg", "glioma"),
    ("MRI/Tumor/tumor 1.jpg", "mri_tumor"),
])  # fmt: skip
def test_patterns_match_the_class_folder_or_with_a_slash_the_path(path, label):
    assert find_class(path, PATTERNS, "here") == label


def test_a_folders_very_name_is_meant_though_it_has_brackets():
    classes = {"old": ["normal [2019]"], "new": ["normal [2]"], "some": ["normal ?"]}
    assert find_class("normal [2019]/a.png", classes, "here") == "old"
    with pytest.raises(DataError, match="several classes: old, new, some"):  # as a pattern it still matches
        find_class("normal 2/a.png", classes, "here")


@pytest.mark.parametrize(("path", "words"), [
    ("normals/a.png", "'normals/a.png' belongs to no class"),
    ("Normal/a.png", "belongs to no class"),
    ("other/normal/a.png", "belongs to no class"),
])  # fmt: skip
def test_what_matches_no_class_is_named(path, words):
    with pytest.raises(DataError, match=words):
        find_class(path, PATTERNS, "here")


def test_what_matches_two_classes_is_named_with_both():
    with pytest.raises(DataError, match=r"'ab/x.png' belongs to several classes: one, two"):
        find_class("ab/x.png", {"one": ["a*"], "two": ["*b"]}, "here")


def test_an_unknown_class_folder_is_named(tmp_path):
    write_picture(write_tree(tmp_path) / "valid/tumour/x.png", seed=99)
    assert "'tumour/x.png' belongs to no class" in refusal(tmp_path)


# --- splits -------------------------------------------------------------------------------


def test_a_missing_split_folder_is_named(tmp_path):
    write_tree(tmp_path, splits=["train", "test"])
    assert "the folder 'valid' of split valid is missing" in refusal(tmp_path)


def test_a_missing_source_is_named(tmp_path):
    assert f"{tmp_path / 'nowhere'}: no such folder" in refusal(tmp_path / "nowhere")


def test_a_folder_that_is_no_split_is_named(tmp_path):
    write_picture(write_tree(tmp_path) / "extra/normal/x.png", seed=99)
    assert f"{tmp_path}/extra/normal: not in a split folder" in refusal(tmp_path)
    assert len(listed(tmp_path, exclude=["extra"])[0]) == 18


def test_a_split_folder_outside_the_root_is_refused(tmp_path):
    write_tree(tmp_path)
    assert "lies outside the data's root" in refusal(
        tmp_path / "train", splits={"train": "../valid", "test": "../test"}
    )


# --- what is passed over, listed or refused -----------------------------------------------


def test_files_beside_the_class_folders_are_listed_with_the_reason(tmp_path):
    write_picture(write_tree(tmp_path) / "train/loose.png", seed=99)
    (tmp_path / "README.txt").write_text("about")
    rejected = listed(tmp_path)[1]
    assert rejected == {"README.txt": "not in a class folder", "train/loose.png": "not in a class folder"}


def test_hidden_files_and_folders_are_passed_over(tmp_path):
    write_tree(tmp_path)
    for name in (".DS_Store", "train/.hidden/x.png", "train/normal/._p.png", "__MACOSX/train/._p.png", ".git/x"):
        write_picture(tmp_path / name, seed=99)
    found, rejected = listed(tmp_path)
    assert len(found) == 18
    assert not rejected


@pytest.mark.parametrize(("pattern", "left"), [
    ("*_mask.png", 18), ("train/normal/p000_mask.png", 19), ("masks", 19), ("train/normal", 16), ("nothing*", 20),
])  # fmt: skip
def test_exclude_matches_names_and_paths_of_files_and_folders(pattern, left, tmp_path):
    write_tree(tmp_path)
    write_picture(tmp_path / "train/normal/p000_mask.png", seed=98)
    write_picture(tmp_path / "train/normal/masks/p000_mask.png", seed=99)
    assert len(listed(tmp_path, exclude=[pattern])[0]) == left


def test_the_same_name_with_another_ending_is_another_image(tmp_path):
    write_tree(tmp_path)
    write_picture(tmp_path / "train/normal/x.png", seed=98)
    write_picture(tmp_path / "train/normal/x.jpg", seed=99, kind="JPEG")
    assert {"train/normal/x.png", "train/normal/x.jpg"} <= set(listed(tmp_path)[0])


@pytest.mark.parametrize(("name", "shown"), [
    (b"Icon\r", "train/normal/Icon\\x0d"),
    (b"line\nbreak.png", "train/normal/line\\x0abreak.png"),
    (b"caf\xe9.png", "train/normal/caf\\xe9.png"),
])  # fmt: skip
def test_a_name_that_a_table_cannot_hold_is_listed_readably(name, shown, tmp_path):
    write_tree(tmp_path)
    (tmp_path / "train/normal" / os.fsdecode(name)).touch()
    assert "rename it" in listed(tmp_path)[1][shown]


def test_names_with_spaces_commas_quotes_and_other_scripts_are_fine(tmp_path):
    write_tree(tmp_path)
    names = ["a b (2) - Copy.png", 'x,"y".png', "Röntgen 影像.png", "Screenshot\u202fAM.png"]
    for number, name in enumerate(names):
        write_picture(tmp_path / "train/normal" / name, seed=100 + number)
    assert {f"train/normal/{name}" for name in names} <= set(listed(tmp_path)[0])


# --- links --------------------------------------------------------------------------------


def test_a_link_out_of_the_root_is_refused_by_name(tmp_path):
    write_tree(tmp_path / "data")
    outside = write_picture(tmp_path / "outside/x.png", seed=99)
    (tmp_path / "data/train/normal/x.png").symlink_to(outside)
    assert re.search(r"train/normal/x\.png lies outside the data's root", refusal(tmp_path / "data"))


def test_a_linked_folder_out_of_the_root_is_refused_by_name(tmp_path):
    write_tree(tmp_path / "data")
    write_picture(tmp_path / "outside/x.png", seed=99)
    (tmp_path / "data/train/normal/more").symlink_to(tmp_path / "outside")
    assert "train/normal/more lies outside" in refusal(tmp_path / "data")
    assert len(listed(tmp_path / "data", exclude=["more"])[0]) == 18


def test_files_that_a_linked_folder_has_elsewhere_are_told_apart_where_nothing_can_be_excluded(tmp_path):
    for name in ("data/own.png", "store/a.png", "more/deep/b.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "data/there").symlink_to(tmp_path / "store")
    (tmp_path / "store/on").symlink_to(tmp_path / "more")
    (tmp_path / "store/back.png").symlink_to(tmp_path / "data/own.png")
    outside = []
    assert list(walk_files(tmp_path / "data", left_out=outside)) == ["own.png"]
    assert sorted(outside) == ["there/a.png", "there/back.png", "there/on/deep/b.png"]


@pytest.mark.parametrize("link", ["data/up", "store/up"])
def test_a_link_to_above_the_root_is_named_before_the_roots_files_are_listed_again(tmp_path, link):
    (tmp_path / "data/deep").mkdir(parents=True)
    (tmp_path / "store").mkdir()
    (tmp_path / "data/there").symlink_to(tmp_path / "store")
    (tmp_path / link).symlink_to(tmp_path)
    with pytest.raises(DataError, match=r"which .*data lies in; remove or exclude this link"):
        list(walk_files(tmp_path / "data", left_out=[]))


def test_a_link_inside_the_root_is_followed(tmp_path):
    write_tree(tmp_path)
    write_picture(tmp_path / ".annex/x", seed=99)
    (tmp_path / "train/normal/x.png").symlink_to(tmp_path / ".annex/x")
    assert "train/normal/x.png" in listed(tmp_path)[0]


def test_a_link_to_a_folder_above_ends_with_its_name(tmp_path):
    write_tree(tmp_path)
    (tmp_path / "train/normal/loop").symlink_to(tmp_path / "train/normal")
    assert "train/normal/loop/loop: leads to" in refusal(tmp_path)


def test_a_root_that_is_itself_a_link_is_fine(tmp_path):
    write_tree(tmp_path / "store")
    (tmp_path / "data").symlink_to(tmp_path / "store")
    assert len(listed(tmp_path / "data")[0]) == 18


# --- groups -------------------------------------------------------------------------------


def test_the_group_stands_in_the_path_where_a_pattern_finds_it(tmp_path):
    write_picture(write_tree(tmp_path) / "train/normal/other.png", seed=99)
    found, _ = listed(tmp_path, group_pattern=r"/(p\d+)_")
    assert found["train/benign/p000_1.png"].group == "p000"
    assert found["train/normal/other.png"].group is None


def test_of_alternatives_in_the_pattern_the_one_that_matched_names_the_group(tmp_path):
    write_picture(write_tree(tmp_path) / "train/normal/q7.png", seed=99)
    found, _ = listed(tmp_path, group_pattern=r"/(p\d+)_|/(q\d+)")
    assert (found["train/benign/p000_1.png"].group, found["train/normal/q7.png"].group) == ("p000", "q7")
