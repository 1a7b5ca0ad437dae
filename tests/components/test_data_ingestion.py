"""data_ingestion end to end: every listed file is in the manifest or rejected, and nothing depends on order."""

import os
import random
import shutil
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnnClassifier.audit.copies import copies_of_training, find_conflicts, gather_copies
from cnnClassifier.audit.exact_copies import find_exact_copies
from cnnClassifier.components import data_ingestion
from cnnClassifier.components.data_ingestion import DataIngestion
from cnnClassifier.config.data import PhantomSource
from cnnClassifier.config.loading import load_settings
from cnnClassifier.datasets.manifest import read_classes, read_manifest
from cnnClassifier.errors import DataError
from imports import ROOT
from ingestion import configure, ingest, paths_below
from pictures import CLASSES, encode, noise, write_picture, write_tree

BAD = {
    "empty.png": (b"", "empty"),
    "text.png": (b"This is not an image.\n", "not an image in a format this reads"),
    "Thumbs.db": (b"\xd0\xcf\x11\xe0" * 40, "not an image in a format this reads"),
    "cut.png": (encode(noise(0, 64))[:1500], "truncated"),
    "cut.jpg": (encode(noise(0, 64), "JPEG")[:700], "truncated"),
}


def spread(root, files, random_order):
    """Write files in a random order, so that the folder lists them in another one."""
    names = list(files)
    random_order.shuffle(names)
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(files[name])


def outputs(run):
    return {name: getattr(run.paths, name).read_bytes() for name in ("manifest", "rejected", "classes")} | {
        name: (run.paths.images / name).read_bytes() for name in run.images
    }


def test_a_folder_becomes_images_manifest_and_classes(tmp_path):
    root = write_tree(tmp_path / "data")
    run = ingest(configure(root), tmp_path)
    assert run.images == [record.path for record in run.records] == sorted(run.images)
    assert len(run.records) == 18
    record = run.by_path["valid/normal/p005_1.png"]
    assert (record.split, record.label, record.mode, record.width) == ("valid", "normal", "L", 16)
    assert (run.paths.images / record.path).read_bytes() == (root / record.path).read_bytes()
    assert read_classes(run.paths.classes).names == CLASSES
    assert run.paths.lesion_masks.is_dir()
    assert not run.rejected


def test_unreadable_files_are_listed_with_the_reason_and_left_out(tmp_path):
    root = write_tree(tmp_path / "data")
    for name, (content, _) in BAD.items():
        (root / "train/normal" / name).write_bytes(content)
    os.mkfifo(root / "train/normal/pipe.png")
    run = ingest(configure(root), tmp_path)
    assert set(run.rejected) == {f"train/normal/{name}" for name in (*BAD, "pipe.png")}
    for name, (_, reason) in BAD.items():
        assert reason in run.rejected[f"train/normal/{name}"]
    assert len(run.images) == len(run.records) == 18


def test_the_same_bytes_give_the_same_outputs_whatever_the_order(tmp_path):
    root = write_tree(tmp_path / "tree")
    files = {file.relative_to(root).as_posix(): file.read_bytes() for file in root.rglob("*.png")}
    files |= {f"train/normal/{name}": content for name, (content, _) in BAD.items()}
    runs = []
    for seed in (1, 2):
        spread(tmp_path / f"data{seed}", files, random.Random(seed))
        runs.append(outputs(ingest(configure(tmp_path / f"data{seed}"), tmp_path / f"run{seed}")))
    assert runs[0] == runs[1]


def test_folder_zip_and_table_give_the_same_manifest(tmp_path):
    root = write_tree(tmp_path / "data")
    shutil.make_archive(str(tmp_path / "data"), "zip", root)
    rows = [f"{file.relative_to(root)},{file.parent.name},{file.parent.parent.name}" for file in root.rglob("*.png")]
    (tmp_path / "table.csv").write_text("\n".join(["file,label,set", *sorted(rows, reverse=True)]))
    table = {"kind": "csv", "table": tmp_path / "table.csv", "root": root, "split_column": "set"}
    runs = [
        outputs(ingest(configure(source), tmp_path / str(number)))
        for number, source in enumerate([root, {"kind": "zip", "path": tmp_path / "data.zip"}, table])
    ]
    assert runs[0] == runs[1] == runs[2]


def test_the_same_name_with_another_ending_stays_two_images(tmp_path):
    root = write_tree(tmp_path / "data")
    write_picture(root / "train/normal/x.png", seed=98)
    write_picture(root / "train/normal/x.jpg", seed=99, kind="JPEG")
    run = ingest(configure(root), tmp_path)
    png, jpg = run.by_path["train/normal/x.png"], run.by_path["train/normal/x.jpg"]
    assert png.id != jpg.id
    assert png.pixel_hash != jpg.pixel_hash
    assert (png.format, jpg.format) == ("PNG", "JPEG")


def test_a_second_run_replaces_the_first(tmp_path):
    root = write_tree(tmp_path / "data", each=3)
    ingest(configure(root), tmp_path)
    (root / "train/normal/p002_0.png").unlink()
    run = ingest(configure(root), tmp_path)
    assert len(run.records) == len(run.images) == 26


def test_an_empty_class_is_named_with_its_split_and_nothing_half_is_left(tmp_path):
    root = write_tree(tmp_path / "data")
    for file in (root / "valid/malignant").iterdir():
        file.write_bytes(b"broken")
    with pytest.raises(DataError, match="class 'malignant' has no readable image in split valid"):
        ingest(configure(root), tmp_path)
    assert not paths_below(tmp_path).images.exists()
    assert not paths_below(tmp_path).manifest.exists()
    assert "valid/malignant/p004_0.png" in paths_below(tmp_path).rejected.read_text()
    assert not list(tmp_path.rglob("*.partial"))


def test_a_failed_run_leaves_the_last_good_images(tmp_path):
    root = write_tree(tmp_path / "data")
    before = ingest(configure(root), tmp_path).images
    shutil.rmtree(root / "test/normal")
    with pytest.raises(DataError, match="class 'normal' has no readable image in split test"):
        ingest(configure(root), tmp_path)
    assert ingest(configure(write_tree(tmp_path / "data")), tmp_path).images == before


def test_an_interruption_leaves_no_manifest_of_other_images(tmp_path, monkeypatch):
    root = write_tree(tmp_path / "data", each=3)
    ingest(configure(root), tmp_path)
    (root / "train/normal/p002_0.png").unlink()

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(data_ingestion, "write_manifest", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ingest(configure(root), tmp_path)
    assert len(list(paths_below(tmp_path).images.rglob("*.png"))) == 26
    with pytest.raises(DataError, match=r"no manifest; run `python main\.py data_ingestion` first"):
        read_manifest(paths_below(tmp_path).manifest)


def test_a_data_set_without_valid_split_is_fine_if_the_configuration_says_so(tmp_path):
    root = write_tree(tmp_path / "data", splits=["train", "test"])
    run = ingest(configure(root, splits={"train": "train", "test": "test"}), tmp_path)
    assert {record.split for record in run.records} == {"train", "test"}


def test_drawn_splits_keep_groups_together(tmp_path):
    root = tmp_path / "data"
    for number in range(180):
        write_picture(root / CLASSES[number % 3] / f"p{number % 60}_{number}.png", seed=number)
    run = ingest(configure(root, random_split={"valid": 0.15, "test": 0.25}, group_pattern=r"(p\d+)_"), tmp_path)
    homes = {}
    for record in run.records:
        homes.setdefault(record.group, set()).add(record.split)
    assert len(homes) == 60
    assert all(len(splits) == 1 for splits in homes.values())
    for label in CLASSES:
        shares = [sum((r.label, r.split) == (label, split) for r in run.records) / 60 for split in ("valid", "test")]
        assert shares == pytest.approx([0.15, 0.25], abs=0.05)


def test_a_pattern_that_names_no_patient_stops_it_before_an_image_is_copied(tmp_path):
    root = write_tree(tmp_path / "data")
    with pytest.raises(DataError, match=r"`data_ingestion\.group_pattern` .* names the patient or scan of no file"):
        ingest(configure(root, group_pattern=r"patient(\d+)"), tmp_path)
    assert not paths_below(tmp_path).images.exists()


def test_a_class_in_too_few_groups_to_draw_from_is_told_as_such(tmp_path):
    root = write_tree(tmp_path / "data", splits=[""], each=12)
    for file in sorted((root / "normal").iterdir())[:11]:
        file.rename(file.with_name(file.name.replace("_", "_one_")))
    with pytest.raises(
        DataError, match=r"class 'normal' .* by whole groups .*, and 2 have images of it: bring images of more"
    ):
        ingest(configure(root, random_split={}, group_pattern=r"(p\d+_(?:\d+|one))"), tmp_path)


def test_without_groups_copies_of_one_picture_are_drawn_together(tmp_path):
    root = write_tree(tmp_path / "data", splits=[""], each=30)
    for number in range(30):
        shutil.copy(root / "normal/p002_0.png", root / f"normal/copy {number}.png")
    run = ingest(configure(root, random_split={}), tmp_path)
    copied = run.by_path["normal/p002_0.png"].pixel_hash
    assert len({record.split for record in run.records if record.pixel_hash == copied}) == 1


contents = st.one_of(
    st.integers(0, 10**6).map(lambda seed: encode(noise(seed, 4))),
    st.integers(0, 10**6).map(lambda seed: encode(noise(seed, 4))[: seed % 90]),
    st.binary(max_size=40),
)
names = st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1, max_size=12).filter(
    lambda name: not name.startswith(".") and len(name.encode()) < 200 and "\0" not in name
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(st.dictionaries(st.tuples(st.sampled_from(CLASSES), names), contents, max_size=12))
def test_every_file_is_either_in_the_manifest_or_rejected(tmp_path_factory, files):
    folder = tmp_path_factory.mktemp("ingest")
    root = write_tree(folder / "data", each=1)
    for (label, name), content in files.items():
        (root / "train" / label / name).write_bytes(content)
    run = ingest(configure(root), folder)
    listed = sum(1 for file in root.rglob("*") if file.is_file())
    assert len(run.records) + len(run.rejected) == listed
    assert not set(run.by_path) & set(run.rejected)
    assert run.images == sorted(run.by_path)


def test_the_phantoms_faults_come_through_and_its_masks_are_kept_beside(tmp_path):
    config = load_settings(ROOT / "config/experiments/phantom.yaml").data_ingestion
    assert isinstance(config.source, PhantomSource)
    source = config.source.model_copy(update={"patients_per_class": 3, "slices_per_patient": 5, "image_size": 64})
    paths = paths_below(tmp_path)
    DataIngestion(config.model_copy(update={"source": source}), paths).run()
    rejected = paths.rejected.read_text().splitlines()[1:]
    assert len(rejected) == source.faults.unreadable
    assert read_classes(paths.classes).synthetic
    assert any(paths.lesion_masks.rglob("*.png"))
    assert not any("mask" in file.name for file in paths.images.rglob("*"))
    assert not paths.work.exists() or not any(paths.work.iterdir())


@pytest.mark.real_data
def test_the_real_chest_ct_has_the_copies_and_the_conflict_that_were_measured(tmp_path):
    run = ingest(load_settings(ROOT / "config/experiments/chest_ct.yaml").data_ingestion, tmp_path)
    assert Counter(record.split for record in run.records) == {"train": 613, "valid": 72, "test": 315}
    assert Counter(record.mode for record in run.records) == {"RGBA": 923, "RGB": 74, "L": 3}
    assert len({record.pixel_hash for record in run.records}) == 847
    pairs = find_exact_copies(run.records)
    assert len(copies_of_training(run.records, pairs)) == 46
    conflicts = find_conflicts(gather_copies(run.records, pairs))
    assert [[record.path for record in group] for group in conflicts] == [
        ["train/large.cell.carcinoma_left.hilum_T2_N2_M0_IIIa/l4.png",
         "train/squamous.cell.carcinoma_left.hilum_T1_N2_M0_IIIa/sq2.png"],
    ]  # fmt: skip
    assert not run.rejected
