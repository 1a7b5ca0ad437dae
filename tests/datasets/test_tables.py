"""A CSV table of images: what each column may hold, and what is refused with its line."""

import unicodedata

import pytest

from cnnClassifier.datasets.tables import list_table
from cnnClassifier.errors import DataError
from ingestion import configure
from pictures import CLASSES, write_picture

HEADER = "file,label,set,patient"
SPLITS = {"train": "train", "test": "test"}


@pytest.fixture
def images(tmp_path):
    for number, label in enumerate(CLASSES):
        write_picture(tmp_path / "images" / label / f"{number}.png", seed=number)
    return tmp_path / "images"


def read(images, rows, header=HEADER, encoding="utf-8", columns=None, **changes):
    table = images.parent / "table.csv"
    table.write_bytes("\n".join([header, *rows, ""]).encode(encoding))
    columns = columns or {"split_column": "set", "group_column": "patient"}
    config = configure({"kind": "csv", "table": table, "root": images, **columns}, **({"splits": SPLITS} | changes))
    candidates, rejected = list_table(config.source, config)
    return candidates, {item.path: item.reason for item in rejected}


def refusal(*arguments, **keywords):
    with pytest.raises(DataError) as caught:
        read(*arguments, **keywords)
    return str(caught.value)


def test_a_row_gives_file_label_split_and_group_in_path_order(images):
    candidates, _ = read(images, ["normal/2.png,normal,test,p7", "benign/0.png,benign,train,"])
    assert [(item.path, item.label, item.split, item.group) for item in candidates] == [
        ("benign/0.png", "benign", "train", None),
        ("normal/2.png", "normal", "test", "p7"),
    ]


def test_a_patient_is_the_same_with_spaces_around_the_number(images):
    candidates, _ = read(images, ["normal/2.png,normal,test, p7 ", "benign/0.png,benign,train,   "])
    assert [item.group for item in candidates] == [None, "p7"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_byte_order_mark_is_no_part_of_the_first_column(images, encoding):
    assert len(read(images, ["normal/2.png,normal,test,p7"], encoding=encoding)[0]) == 1


def test_columns_may_have_any_name_and_splits_may_be_drawn(images):
    candidates, _ = read(
        images, ["normal/2.png,NORM"], header="Image Name,Majority Vote Label",
        columns={"file_column": "Image Name", "label_column": "Majority Vote Label"},
        classes={"normal": ["NORM"], "other": ["X"]}, random_split={}, splits=None,
    )  # fmt: skip
    assert (candidates[0].label, candidates[0].split) == ("normal", None)


def test_a_label_is_matched_whole_though_it_has_a_slash(images):
    classes = {"hp": ["HP"], "unsure": ["HP/unsure"], "other": ["X"]}
    candidates, _ = read(images, ["normal/2.png,HP/unsure,test,", "benign/0.png,HP,test,"], classes=classes)
    assert [item.label for item in candidates] == ["hp", "unsure"]
    unknown = refusal(images, ["normal/2.png,HP/?,test,"], classes=classes)
    assert "line 2: 'HP/?/normal/2.png' belongs to no class" in unknown


VOTED = "file,label,set,patient,b,m"
VOTES = {"split_column": "set", "votes": {"columns": {"benign": "b", "malignant": "m"}, "of": 7}}


def test_votes_are_counted_in_the_order_of_the_classes_and_the_rest_goes_to_the_one_without_a_column(images):
    candidates, _ = read(images, ["normal/2.png,normal,test,,2,1"], header=VOTED, columns=VOTES)
    assert candidates[0].votes == (2, 1, 4)
    assert read(images, ["normal/2.png,normal,test,p"])[0][0].votes == ()


@pytest.mark.parametrize(("cells", "words"), [
    ("6,2", "line 2: 8 votes, and `source.votes.of` says 7"),
    ("some,2", "line 2: column 'b' must hold a number of votes. Received: 'some'"),
    ("-1,2", "Received: '-1'"),
    (",2", "line 2: nothing in column 'b'"),
])  # fmt: skip
def test_votes_that_do_not_add_up_are_told(images, cells, words):
    assert words in refusal(images, [f"normal/2.png,normal,test,,{cells}"], header=VOTED, columns=VOTES)


def test_fewer_votes_than_annotators_are_told_where_every_class_has_a_column(images):
    columns = {**VOTES, "votes": {"columns": {"benign": "b", "malignant": "m", "normal": "patient"}, "of": 7}}
    rows = ["normal/2.png,normal,test,3,2,1"]
    assert "6 votes, and `source.votes.of` says 7" in refusal(images, rows, header=VOTED, columns=columns)


def test_rows_without_a_file_are_listed_not_fatal(images):
    candidates, rejected = read(images, ["normal/2.png,normal,test,p", "normal/gone.png,normal,test,p"])
    assert len(candidates) == 1
    assert rejected == {"normal/gone.png": "no such file"}


@pytest.mark.parametrize("spelt", ["NFC", "NFD"])
def test_an_accent_may_be_one_character_or_two_in_files_labels_and_patterns(spelt, images):
    there, other = (
        unicodedata.normalize(spelt, "bénigne"),
        unicodedata.normalize("NFD" if spelt == "NFC" else "NFC", "bénigne"),
    )
    write_picture(images / f"{there}.png", seed=7)
    candidates, rejected = read(images, [f"{other}.png,{other},test,p"], classes={"one": [there], "two": ["x"]})
    assert [(item.path, item.label) for item in candidates] == [(f"{there}.png", "one")]
    assert not rejected
    assert "stands in line 2 too" in refusal(images, [f"{name}.png,normal,test,p" for name in (other, there)])


def test_excluded_rows_are_passed_over(images):
    rows = ["normal/2.png,normal,test,p", "benign/0.png,what?,no,p"]
    assert len(read(images, rows, exclude=["benign"])[0]) == 1


def test_every_spelling_of_a_path_inside_the_root_becomes_one(images):
    rows = [
        f"{images}/normal/2.png,normal,test,",
        "./benign//0.png,benign,train,",
        "../images/malignant/1.png,malignant,test,",
    ]
    assert [item.path for item in read(images, rows)[0]] == ["benign/0.png", "malignant/1.png", "normal/2.png"]


@pytest.mark.parametrize(("row", "words"), [
    ("normal/2.png,healthy,test,", "line 2: 'healthy/normal/2.png' belongs to no class"),
    ("normal/2.png,normal,dev,", "line 2: unknown split 'dev'; `data_ingestion.splits` names train, test"),
    ("../outside.png,normal,test,", "line 2: {root}/../outside.png lies outside"),
    ("/etc/hostname,normal,test,", "lies outside the data's root"),
    ("normal/2.png,,test,", "line 2: nothing in column 'label'"),
    ("normal/2.png,normal", "line 2: nothing in column 'set'"),
    (",normal,test,", "line 2: nothing in column 'file'"),
])  # fmt: skip
def test_a_wrong_cell_is_named_with_its_line(images, row, words):
    assert words.format(root=images) in refusal(images, [row])


def test_a_link_out_of_the_root_is_refused_by_name(images):
    (images / "link.png").symlink_to(write_picture(images.parent / "outside.png", seed=9))
    assert "link.png lies outside" in refusal(images, ["link.png,normal,test,"])


def test_a_file_in_two_rows_is_refused_with_both_lines(images):
    rows = ["normal/2.png,normal,test,p", "benign/0.png,benign,train,", "./normal/2.png,benign,train,p"]
    assert "line 4: normal/2.png stands in line 2 too" in refusal(images, rows)


def test_a_missing_column_is_named_with_those_there_are(images):
    text = refusal(images, ["normal/2.png;normal"], header="file;label")
    assert "no column 'file'; it has ['file;label']" in text


def test_a_table_in_another_encoding_is_told(images):
    assert "not a CSV table in UTF-8" in refusal(images, ["müller.png,normal,test,p"], encoding="cp1252")


@pytest.mark.parametrize(("first", "last", "fault"), [
    ('benign/0.png,benign,train,"', "malignant/1.png,malignant,train,", "unexpected end of data"),
    ('benign/0.png,benign,train,"3 mm', 'malignant/1.png,malignant,train,"4 mm', "',' expected after '\"'"),
])  # fmt: skip
def test_a_stray_quote_does_not_swallow_the_rows_after_it(images, first, last, fault):
    text = refusal(images, ["normal/2.png,normal,test,p7", first, last])
    assert f"table.csv, line 3 or below: {fault}; correct the double quotes" in text


@pytest.mark.parametrize("cell", ['"p7" ', 'p7"', '"p"7'])
def test_a_stray_quote_that_swallows_nothing_does_no_harm(images, cell):
    candidates, _ = read(images, [f"normal/2.png,normal,test,{cell}", "benign/0.png,benign,train,"])
    assert len(candidates) == 2
    assert candidates[1].group.startswith("p7")


def test_a_missing_table_is_told(images):
    config = configure({"kind": "csv", "table": images / "no.csv", "root": images}, random_split={})
    with pytest.raises(DataError, match=r"no\.csv: No such file or directory; correct `data_ingestion"):
        list_table(config.source, config)


def test_a_root_that_is_no_folder_is_told(images):
    (images.parent / "table.csv").write_text("file,label\n2.png,normal\n")
    config = configure({"kind": "csv", "table": images.parent / "table.csv", "root": images / "no"}, random_split={})
    with pytest.raises(DataError, match=r"/no: no such folder; correct `data_ingestion\.source\.root`"):
        list_table(config.source, config)
