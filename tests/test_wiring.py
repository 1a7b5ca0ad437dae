"""One name, one meaning: dvc.yaml, params.yaml, the types and the modules agree, and imports keep to their homes."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from cnnClassifier.backbones import BUNDLED
from cnnClassifier.components import STAGES, load_component
from cnnClassifier.config.loading import load_project, load_settings
from cnnClassifier.config.types import Settings
from cnnClassifier.model_spec import ONNX_FILE, SPEC_FILE
from imports import PACKAGE, ROOT, first_party_files, imported_modules

DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]

# Which part of the package may import a library that is slow, or that one place should own.
HOMES = {
    "mlflow": ["tracking/", "backup/"],
    "dagshub": ["tracking/"],
    "flask": ["web/"],
    "flask_limiter": ["web/"],
    "prometheus_client": ["web/"],
    "waitress": ["web/"],
    "werkzeug": ["web/"],
    "yaml": ["config/"],
    "box": ["config/"],
    "ruamel": ["config/"],
    "tensorflow": [
        "backbones.py", "compiled_tail.py", "conversion.py", "distribution.py", "modeling.py", "fitting.py",
        "export.py", "formats/",
    ],
    "keras": [
        "attribution.py", "backbones.py", "compiled_tail.py", "conversion.py", "networks.py", "modeling.py",
        "fitting.py", "fold_cluster.py", "export.py", "precision.py", "formats/",
    ],
    "onnx": ["eight_bits.py", "onnx_weights.py", "ensembles/merging.py"],
    "onnxruntime": ["eight_bits.py", "inference.py"],
    "dvc": ["dagshub_setup.py"],
    "optuna": ["sweep/"],
    "sqlalchemy": ["backup/", "sweep/", "tracking/"],
    "imblearn": ["balancing.py"],
    "kagglehub": ["datasets/sources.py"],
    "pydicom": ["dicom/"],
    "gdcm": ["dicom/gdcm_worker.py"],
    "pyarrow": ["feature_cluster.py", "fold_cluster.py", "scoring/"],
    "ray": ["feature_cluster.py", "fold_cluster.py", "ray_cluster.py", "scoring/cluster.py"],
}  # fmt: skip

# What the packages of requirements-base.in and requirements-serve.in are called in Python.
SERVING_LIBRARIES = {
    "box", "dotenv", "flask", "flask_limiter", "flask_openapi3", "mlflow", "numpy", "onnxruntime", "PIL",
    "prometheus_client", "pydantic", "pydantic_core", "pydicom", "scipy", "waitress", "werkzeug", "yaml",
}  # fmt: skip


def test_dvc_stages_are_the_components_in_order():
    assert list(DVC) == list(STAGES)


def test_settings_have_one_section_a_stage_in_order():
    assert list(Settings.model_fields) == list(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_a_module_whose_component_takes_its_section(stage):
    assert (PACKAGE / "components" / f"{stage}.py").is_file()
    assert load_component(stage).__name__ == STAGES[stage]


@pytest.mark.parametrize("stage", DVC)
def test_dvc_watches_exactly_the_section_the_component_is_given(stage):
    assert DVC[stage]["params"] == [stage]
    assert DVC[stage]["cmd"] == f"python main.py {stage}"


@pytest.mark.parametrize("stage", DVC)
def test_deps_name_every_file_that_the_component_imports(stage):
    deps = [ROOT / dep for dep in DVC[stage]["deps"] if dep.startswith("src/")]
    imported = first_party_files(PACKAGE / "components" / f"{stage}.py")
    missing = [file for file in imported if not any(file.is_relative_to(dep) for dep in deps)]
    assert not missing, f"add to deps of {stage}: {sorted(str(file.relative_to(ROOT)) for file in missing)}"


@pytest.mark.parametrize("stage", DVC)
def test_deps_name_no_file_that_the_component_does_not_need(stage):
    imported = first_party_files(PACKAGE / "components" / f"{stage}.py")
    deps = [ROOT / dep for dep in DVC[stage]["deps"] if dep.startswith("src/")]
    assert all(any(file.is_relative_to(dep) for file in imported) for dep in deps)


def test_the_base_model_depends_on_the_weights_that_are_bundled():
    files = {BUNDLED / SPEC_FILE, BUNDLED / ONNX_FILE}
    assert files <= {Path(dep) for dep in DVC["prepare_base_model"]["deps"]}
    assert load_project(ROOT / "config/config.yaml").serving.released == BUNDLED


def test_every_path_in_dvc_yaml_is_configured_and_written_by_one_stage():
    paths = set(load_project(ROOT / "config/config.yaml").paths.model_dump())
    outs = [
        _path_name(out)
        for stage in DVC.values()
        for kind in ("outs", "metrics", "plots")
        for out in stage.get(kind, [])
    ]
    used = [_path_name(dep) for stage in DVC.values() for dep in stage["deps"] if dep.startswith("$")]
    assert len(outs) == len(set(outs))
    assert set(outs) <= paths
    assert set(used) <= set(outs)


@pytest.mark.parametrize("file", sorted((ROOT / "config/experiments").glob("*.yaml")), ids=lambda file: file.stem)
def test_shipped_experiments_validate_and_are_called_what_they_register(file):
    assert load_settings(file).registration.name == file.stem


def test_the_committed_default_is_the_phantom():
    assert (ROOT / "params.yaml").read_bytes() == (ROOT / "config/experiments/phantom.yaml").read_bytes()


@pytest.mark.parametrize("library", HOMES)
def test_a_library_is_imported_only_at_home(library):
    strangers = {
        file.relative_to(PACKAGE).as_posix()
        for file in PACKAGE.rglob("*.py")
        if any(name.split(".")[0] == library for name in imported_modules(file))
        and not file.relative_to(PACKAGE).as_posix().startswith(tuple(HOMES[library]))
    }
    assert not strangers


@pytest.mark.parametrize(
    "part",
    [
        "inference.py", "heatmap.py", "web/factory.py", "web/model_source.py", "config/types.py", "asking/predict.py",
        "asking/evaluate.py", "scoring/run.py", "scoring/cluster.py",
        "feature_cluster.py",
    ],
)  # fmt: skip
def test_serving_and_configuration_reach_no_tensorflow(part):
    reached = {name.split(".")[0] for file in first_party_files(PACKAGE / part) for name in imported_modules(file)}
    assert not reached & {"tensorflow", "keras"}


def test_serving_needs_nothing_at_import_that_its_environment_lacks():
    reached = first_party_files(ROOT / "app.py", packages=True)
    reached |= first_party_files(PACKAGE / "web/model_source.py", packages=True)
    needed = {name for file in reached | {ROOT / "app.py"} for name in _needed_at_import(file)}
    assert needed <= SERVING_LIBRARIES | set(sys.stdlib_module_names) | {PACKAGE.name}


def test_no_module_imports_itself_by_way_of_others():
    reached = {file: first_party_files(file) - {file} for file in PACKAGE.rglob("*.py")}
    circles = {file.relative_to(PACKAGE).as_posix() for file in reached if _is_in_a_circle(file, reached)}
    assert not circles


def test_components_do_not_import_each_other():
    components = PACKAGE / "components"
    for stage in STAGES:
        imported = first_party_files(components / f"{stage}.py") - {components / f"{stage}.py"}
        assert not imported & {components / f"{other}.py" for other in STAGES}


def test_all_errors_are_of_one_tree():
    classes = {
        node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and node.name.endswith("Error")
    }
    tree = {"CnnClassifierError"}
    while grown := {name for name, bases in classes.items() if bases & tree} - tree:
        tree |= grown
    assert set(classes) - tree <= {"ProblemError"}  # what serverless.py answers, and never lets out


def test_no_module_is_longer_than_a_reader_can_hold():
    files = [file for folder in (PACKAGE, ROOT / "tests", ROOT / "benchmarks") for file in folder.rglob("*.py")]
    assert not {str(file): length for file in files if (length := _lines(file)) > 300}


def _is_in_a_circle(file: Path, reached: dict[Path, set[Path]]) -> bool:
    return any(file in reached[other] for other in reached[file])


def _lines(file: Path) -> int:
    return len(file.read_text(encoding="utf-8").splitlines())


def _needed_at_import(file: Path) -> Iterator[str]:
    """Libraries that a file imports outside of functions and of `if TYPE_CHECKING`."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def _path_name(out: str | dict[str, object]) -> str:
    name = out if isinstance(out, str) else next(iter(out))
    return name.removeprefix("${paths.").removesuffix("}")
