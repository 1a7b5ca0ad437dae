"""Which models may be one: how members are named, and those that do not fit together."""

from typing import Any

import pytest
from finished_project import CLASSES, SPEC
from registered_members import register, table, write_member

from cnnClassifier.ensembles.command import make_ensemble
from cnnClassifier.ensembles.members import find_member
from cnnClassifier.errors import ConfigError, ModelError
from cnnClassifier.tracking import registry


def other_member(local, settings, paths, tmp_path, **changes: Any) -> int:
    spec = SPEC.model_copy(update=changes)
    package = write_member(tmp_path / "other", 3, spec)
    return register(local, settings, paths, package, spec, table(3), tmp_path / "pyfunc3")


def test_members_of_other_classes_or_another_order_are_refused(members, local, settings, paths, tmp_path):
    other = other_member(local, settings, paths, tmp_path, classes=CLASSES[::-1])
    with pytest.raises(ModelError, match=r"same classes in the same order: tiny_chest_ct version 1 has adenocarcinoma"):
        make_ensemble("unlike", ["tiny_chest_ct/1", f"tiny_chest_ct/{other}"], settings, paths, local)
    assert registry.versions(local, "unlike") == []


def test_members_that_take_other_pictures_are_refused(members, local, settings, paths, tmp_path):
    preprocessing = SPEC.preprocessing.model_copy(update={"image_size": 48, "body_crop": False})
    other = other_member(local, settings, paths, tmp_path, preprocessing=preprocessing)
    with pytest.raises(ModelError, match=r"differ in image_size 32 and 48; body_crop True and False: train one"):
        make_ensemble("unlike", ["tiny_chest_ct/1", f"tiny_chest_ct/{other}"], settings, paths, local)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["tiny_chest_ct/1"], "two members or more. Received: tiny_chest_ct/1"),
        (["tiny_chest_ct/2", "tiny_chest_ct/2"], "tiny_chest_ct/2 is named twice"),
        (["tiny_chest_ct/1", "tiny_chest_ct/99"], "tiny_chest_ct has no version 99; there are: 1, 2"),
        (["tiny_chest_ct/1", "tiny_chest_ct"], "no model tiny_chest_ct@champion"),
        (["tiny_chest_ct/1", "tiny_chest_ct:2"], "expected model, model@alias or model/version"),
    ],
)
def test_members_that_are_not_there_or_not_several_are_told(members, local, settings, paths, asked, said):
    with pytest.raises((ConfigError, ModelError), match=said):
        make_ensemble("unlike", asked, settings, paths, local)


def test_a_member_is_named_by_version_alias_or_as_champion(members, local):
    registry.set_alias(local, "tiny_chest_ct", 2, "best")
    assert find_member(local, "tiny_chest_ct@best").version == find_member(local, "tiny_chest_ct/2").version == 2
