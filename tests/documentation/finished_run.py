"""A project with a small finished run, and the files, weights and bucket that the pages' commands speak of."""

import shutil
import zipfile
from pathlib import Path

import boto3
import yaml

from cnnClassifier.datasets.synthetic import MARK
from environment import clean_environment
from project import Project, copy_project, make_tiny
from random_weights import save_random_weights

BUCKET = "bucket"


def finished_run(folder: Path, store: dict[str, str]) -> Project:
    """A finished run whose model is called as that of the pages; answers are logged, and readers asked for labels."""
    settings = {
        **clean_environment(), **store, "CNNCLASSIFIER_WEIGHTS_DIR": str(folder / "weights"),
        "CNNCLASSIFIER_PREDICTION_LOG": "log/predictions.db", "CNNCLASSIFIER_FEEDBACK": "true",
    }  # fmt: skip
    project = copy_project(folder / "project", settings)
    make_tiny(project)
    project.set_params(registration__name="chest_ct")
    make_small(project.root / "config")
    project.commit("As it is cloned, but small")
    project.main()
    save_random_weights(folder / "weights", "ResNet50")
    bring_files(project.root)
    fill_bucket(project.root / "scans", store)
    return project


def make_small(config: Path) -> None:
    """Two trials for each sweep, the phantom's candidates for chest_ct, and no model that comes with the code."""
    for path in (config / "sweeps").iterdir():
        plan = yaml.safe_load(path.read_text())
        heads = plan["parameters"].get("prepare_base_model.head", [])
        heads[:] = [head for head in heads if head["pooling"] != "grid"]  # 32 pixels leave a map of one
        path.write_text(yaml.safe_dump(plan | {"trials": 2}))
    (config / "compare/phantom.yaml").replace(config / "compare/chest_ct.yaml")
    settings = yaml.safe_load((config / "config.yaml").read_text())
    settings["serving"]["released"] = None
    (config / "config.yaml").write_text(yaml.safe_dump(settings))


def bring_files(root: Path) -> None:
    """Pictures under the names that the pages use: a file, folders, a zip, a table."""
    images = root / "artifacts/data_ingestion/images"
    pictures = sorted(path for path in images.rglob("*") if path.is_file() and path.name != MARK)
    for name in ("scans", "series"):
        shutil.copytree(images / "test", root / name)
    scans = sorted(path.relative_to(root / "scans") for path in (root / "scans").rglob("*.*"))
    (root / "list.csv").write_text("\n".join(["path", *map(str, scans)]))
    shutil.copyfile(pictures[0], root / "scan.png")
    with zipfile.ZipFile(root / "more.zip", "w") as archive:
        for path in pictures:
            archive.write(path, path.relative_to(images))


def fill_bucket(scans: Path, store: dict[str, str]) -> None:
    """s3://bucket/scans/"""
    session = boto3.Session(store["AWS_ACCESS_KEY_ID"], store["AWS_SECRET_ACCESS_KEY"], region_name="us-east-1")
    client = session.client("s3", endpoint_url=store["AWS_ENDPOINT_URL"])
    client.create_bucket(Bucket=BUCKET)
    for path in scans.rglob("*.*"):
        client.upload_file(str(path), BUCKET, f"scans/{path.relative_to(scans)}")
