"""The audit as JSON and as a page: counts, the verdict in words, pictures inside, names escaped."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from cnnClassifier.audit.exact_copies import find_exact_copies
from cnnClassifier.audit.pairs import pair_up
from cnnClassifier.audit.pictures import thumbnail
from cnnClassifier.audit.policy import apply_policy
from cnnClassifier.audit.report import LINES, size_histogram, write_report
from cnnClassifier.audit.sections import tell
from cnnClassifier.audit.shortcuts import GivenAway, Shortcut
from cnnClassifier.audit.shots import PICTURES, spread
from cnnClassifier.audit.splits import compare_splits
from cnnClassifier.audit.summary import Findings, summarise
from cnnClassifier.audit.suspects import find_suspects
from cnnClassifier.config.data import DataAuditConfig

INTERVAL = {"value": 0.5, "low": 0.4, "high": 0.6}
GIVEN = Shortcut("file", 100, INTERVAL, INTERVAL, 0.3, 0.25, [GivenAway("normal", 0.99, 0.97, 1.0, True)])


def findings(planted, records=None, pairs=None, **changes):
    records = planted.records if records is None else records
    facts = planted.facts.of(records)
    pairs = find_exact_copies(records) if pairs is None else pairs
    suspects = find_suspects(records, facts)
    kept = apply_policy(records, pairs, suspects, DataAuditConfig())
    differences = compare_splits(records, facts)
    return Findings(records, kept, pairs, suspects, [], differences, planted.rejected, **changes)


class Page(HTMLParser):
    """What a browser would make of a page: its tags with their attributes, and its text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def page_of(planted, folder, found):
    write_report(summarise(found), found.records, found.pairs, planted.images, folder / "audit.html")
    return Page((folder / "audit.html").read_text(encoding="utf-8"))


def test_the_summary_counts_what_was_planted_and_names_it(faulty):
    audit = summarise(findings(faulty))
    assert audit["across_test"] == {"images": 4, "exact": 4, "near": 0}
    assert (audit["exact_copies"]["sets"], audit["exact_copies"]["sets_across_test"]) == (7, 4)
    assert audit["label_conflicts"]["sets"] == 3
    assert audit["suspects"] == {"masks": 5, "blank": 0, "in_test": 0}
    assert audit["unreadable"] == 3
    assert {item["path"] for item in audit["files"]["unreadable"]} == faulty.with_fault("unreadable")
    assert {tuple(paths) for paths in audit["files"]["label_conflicts"]} == faulty.sources("label_conflict")
    assert audit["kept"]["test"] == audit["images"]["test"]
    assert audit["kept"]["train"] == audit["images"]["train"] - 4 - 2 * 3 - 5
    json.dumps(audit, allow_nan=False)


def test_the_verdict_counts_shared_test_images(faulty):
    source, copy = (next(r.path for r in faulty.records if r.split == split) for split in ("train", "test"))
    pairs = [*find_exact_copies(faulty.records), pair_up("near", source, copy, 0.97)]
    assert summarise(findings(faulty, pairs=pairs))["verdict"] == (
        "The published test split shares 5 of 20 images with training (4 pixel for pixel, 1 cropped or windowed "
        "otherwise); expect its accuracy to overstate what new patients would see."
    )


def test_near_copies_that_the_configuration_keeps_are_said_plainly(faulty, tmp_path):
    source, copy = (next(r.path for r in faulty.records if r.split == split) for split in ("train", "test"))
    pairs = [*find_exact_copies(faulty.records), pair_up("near", source, copy, 0.97)]
    config = DataAuditConfig(near_copies="keep")
    found = findings(faulty, pairs=pairs, config=config)
    found = replace(found, kept=apply_policy(faulty.records, pairs, found.suspects, config))
    assert "otherwise); the configuration keeps 1 training image that shows them; expect" in summarise(found)["verdict"]
    assert "4 left out from training, 1 kept by data_audit.near_copies" in page_of(faulty, tmp_path, found).text
    assert summarise(found)["policy"]["satisfied"] is True


def test_advice_on_a_folder_says_what_to_do_and_not_what_was_done(faulty, tmp_path):
    found = findings(faulty, applied=False)
    page = page_of(faulty, tmp_path, found)
    assert "5 to leave out from training" in page.text
    assert " left out from training" not in page.text
    assert "Draw the splits anew, groups kept together" in page.text
    assert summarise(found)["policy"]["broken"][0] == "4 training images are also in test"


def test_a_drawn_split_is_not_called_published(clean):
    assert summarise(findings(clean, published=False))["verdict"] == "The test split holds no copy of a training image."


def test_the_verdict_names_patients_on_both_sides(clean):
    records = [replace(record, group="p") if "normal" in record.label else record for record in clean.records]
    assert (
        "but 4 of its 16 images are probably of patients who are in training"
        in (summarise(findings(clean, records))["verdict"])
    )


def test_the_verdict_names_shortcuts_and_masks(clean, faulty):
    with_shortcut = summarise(replace(findings(clean), shortcuts=[GIVEN]))
    assert "but normal can be told from the file (format, mode, size) alone" in with_shortcut["verdict"]
    masks_only = [record for record in faulty.records if record.path in faulty.with_fault("mask_among_images")]
    tested = [replace(record, split="test") for record in faulty.records[:1]]
    with_masks = findings(faulty, [*tested, *masks_only], published=True)
    said = "masks or blank pictures are among the scans: 5 files."
    assert summarise(with_masks)["verdict"].endswith(f", but {said}")
    assert summarise(replace(with_masks, shortcuts=[GIVEN]))["verdict"].endswith(f"with the disease; and {said}")


def test_a_folder_without_splits_or_classes_has_a_verdict_and_a_page(clean, tmp_path):
    records = [replace(record, split="train", label="images") for record in clean.records]
    found = findings(clean, records)
    assert (
        summarise(found)["verdict"]
        == f"No copies among {len(records)} images, and no test split to compare with training."
    )
    assert "No copies among" in page_of(clean, tmp_path, found).text
    pairs = [pair_up("near", records[0].path, records[1].path, 0.98)]
    assert (
        f"Of {len(records)} images 2 have a near copy; there is no test split yet"
        in (summarise(findings(clean, records, pairs))["verdict"])
    )


def test_a_clean_set_leaves_nothing_to_do(clean):
    assert summarise(findings(clean))["next_steps"] == ["Nothing was found that a person would have to act on."]


def test_the_page_needs_nothing_from_outside(faulty, tmp_path):
    page = page_of(faulty, tmp_path, findings(faulty))
    addresses = [value for _, attrs in page.tags for name, value in attrs.items() if name in ("src", "href")]
    assert all(address.startswith(("data:image/jpeg;base64,", "#")) for address in addresses)
    assert not {"script", "link", "iframe"} & {tag for tag, _ in page.tags}
    assert not re.search(r"url\(|@import|https?:", (tmp_path / "audit.html").read_text(encoding="utf-8"))


def test_the_page_says_the_verdict_first_and_shows_every_finding_with_its_files(faulty, tmp_path):
    page = page_of(faulty, tmp_path, findings(faulty))
    assert page.text.index("The published test split shares 4 of 20") < page.text.index("What to do next")
    assert page.text.index("What to do next") < page.text.index("Findings")
    pictured = {attrs["alt"] for tag, attrs in page.tags if tag == "img"}
    assert faulty.with_fault("mask_among_images") <= pictured
    assert {path for pair in faulty.sources("label_conflict") for path in pair} <= pictured
    assert all(path in page.text for path in faulty.with_fault("unreadable"))


def test_names_are_escaped(clean, tmp_path):
    name = "test/<script>alert(1)</script>&\"'.png"
    records = [replace(clean.records[0], path=name), *clean.records[1:]]
    pairs = [pair_up("exact", name, clean.records[-1].path)]
    page = page_of(clean, tmp_path, findings(clean, records, pairs, grouping={"how": "<b>so</b>"}))
    assert "script" not in {tag for tag, _ in page.tags}
    assert name in page.text
    assert "<b>so</b>" in page.text
    assert "cannot be read" in page.text  # there is no such file: a gap is shown, and the rest of the page stands


def test_the_page_stays_small_however_much_is_found(clean, tmp_path):
    first = clean.records[0]
    many = [replace(first, path=f"{split}/a/{n:04d}.png", id=first.id, split=split, pixel_hash=str(n))
            for n in range(1200) for split in ("test", "train")]  # fmt: skip
    for record in many[:40]:
        (tmp_path / record.path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / record.path).write_bytes((clean.images / first.path).read_bytes())
    found = Findings(many, apply_policy(many, [], [], DataAuditConfig()), find_exact_copies(many), [], [], [])
    page = page_of(replace(clean, images=tmp_path), tmp_path, found)
    assert sum(tag == "li" for tag, _ in page.tags) < 2 * LINES + 20
    assert page.text.count("cannot be read") < 4 * PICTURES
    assert "The complete list (1,200)" in page.text
    assert "The others are in audit.json." in page.text


def test_groups_are_shown_by_size_and_threshold(clean, tmp_path):
    assert size_histogram(clean.records) == [("1", 0), ("2-3", 32)]
    row = {"same_patient": 0.5, "groups": 32, "largest": 2, "single_images": 0, "mixed": 0.0}
    rows = [row, {**row, "same_patient": 0.9, "groups": 40}]
    grouping = {"how": "Clusters of near copies.", "threshold": 0.5, "by_threshold": rows}
    page = page_of(clean, tmp_path, findings(clean, grouping=grouping))
    assert "Clusters of near copies. 32 groups, the largest of 2 images." in page.text
    assert "0.5 (used) 32 2 0 0.00 % 0.9 40 2" in page.text


def test_a_pair_of_pictures_is_listed_once_however_often_each_was_saved(clean, tmp_path):
    one, copy, other = clean.records[:3]
    records = [one, replace(copy, pixel_hash=one.pixel_hash), other]
    pairs = [*find_exact_copies(records), *(pair_up("near", path, other.path, 0.97) for path in (one.path, copy.path))]
    audit = summarise(findings(clean, records, pairs))
    assert audit["near_copies"]["pairs"] == 1
    assert audit["near_copies"]["images"] == 3
    near = next(section for section in tell(audit, records, pairs) if section.key == "near-copies")
    assert len(near.items) == 1


def test_a_thumbnail_keeps_its_shape_and_is_none_without_a_picture(clean, tmp_path):
    assert thumbnail(clean.images / clean.records[0].path).startswith("data:image/jpeg;base64,")
    (tmp_path / "text.png").write_text("no picture")
    assert thumbnail(tmp_path / "text.png") is None
    assert thumbnail(tmp_path / "gone.png") is None


@pytest.mark.parametrize(("count", "shown"), [(3, [0, 1, 2]), (4, [0, 1, 2, 3]), (10, [0, 3, 6, 9])])
def test_what_is_shown_spans_the_whole_list(count, shown):
    assert spread(range(count), 4) == shown
