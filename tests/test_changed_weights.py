"""A file of weights is known again by its bytes: DVC, which is told its path alone, does not see it change."""

import pytest

from cnnClassifier.config.loading import load_project, load_settings
from cnnClassifier.files import file_sha256
from cnnClassifier.model_spec import PRETRAINED_DIGEST
from cnnClassifier.reproducing import prepare_what_changed
from environment import clean_environment
from pictures import write_tree
from project import copy_project
from random_weights import save_random_weights


@pytest.mark.pipeline
def test_a_base_model_is_built_again_also_where_dvc_has_that_of_the_former_file(tmp_path, monkeypatch):
    project = copy_project(tmp_path / "project", clean_environment())
    write_tree(
        project.root / "scans", classes=("adenocarcinoma", "large_cell_carcinoma", "normal", "squamous_cell_carcinoma")
    )
    project.set_params(
        data_ingestion__source={"kind": "folder", "path": "scans"},
        data_ingestion__group_pattern=None,
        prepare_base_model__backbone="MobileNetV2",
        prepare_base_model__precision="float32",
        prepare_base_model__preprocessing__image_size=32,
        prepare_base_model__head={"pooling": "mean"},
    )
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(project.root)
    base_model, file = load_project().paths.base_model, project.root / "mobilenetv2_notop.weights.h5"

    def look() -> None:
        prepare_what_changed(load_settings().prepare_base_model, load_project().paths)

    def built(seed: int) -> tuple[str, int]:
        project.set_params(prepare_base_model__seed=seed, prepare_base_model__weights=file.name)
        look()
        network = base_model / "model.weights.h5"
        return (base_model / PRETRAINED_DIGEST).read_text(), network.stat().st_mtime_ns

    save_random_weights(project.root, "MobileNetV2", seed=11)
    digest, written = built(seed=1)
    assert digest == file_sha256(file)
    assert built(seed=1) == (digest, written)
    assert built(seed=2)[0] == digest
    save_random_weights(project.root, "MobileNetV2", seed=12)
    assert built(seed=2)[0] == file_sha256(file) != digest
    assert built(seed=1)[0] == file_sha256(file)
    file.unlink()  # as in a clone that pulled the base model
    look()
