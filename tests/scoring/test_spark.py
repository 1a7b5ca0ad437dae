"""The registered model as a Spark function: MLflow, PySpark and the model's own requirements are all that it needs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cnnClassifier.inference import Classifier
from cnnClassifier.model_spec import read_spec
from cnnClassifier.tracking.packaging import save_pyfunc
from environment import clean_environment
from imports import ROOT
from tiny_release import CLASSES, picture

pytestmark = pytest.mark.cluster

NAME = "tiny"
# Registers a saved model, then runs the program that docs/scoring.md shows.
REGISTER = """
import sys, mlflow
with mlflow.start_run() as run:
    mlflow.log_artifacts(sys.argv[1], "model")
mlflow.MlflowClient().create_registered_model("tiny")
mlflow.MlflowClient().create_model_version("tiny", run.info.artifact_uri + "/model")
mlflow.MlflowClient().set_registered_model_alias("tiny", "champion", "1")
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, package: Path) -> dict[str, str]:
    """A registry with the tiny model as champion, and what Spark's processes need to know."""
    folder = tmp_path_factory.mktemp("registry")
    save_pyfunc(package, None, folder / "saved", read_spec(package))
    settings = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "PYSPARK_PYTHON": sys.executable}
    settings |= {"SPARK_LOCAL_IP": "127.0.0.1"}
    environment = clean_environment() | settings
    subprocess.run([sys.executable, "-c", REGISTER, folder / "saved"], cwd=folder, env=environment, check=True)
    return environment


def test_the_documented_program_answers_on_spark_as_the_classifier_does(environment, package, tmp_path):
    images = tmp_path / "images"
    (images / "deep").mkdir(parents=True)
    for number in range(30):
        (images / f"deep/{number:02}.png").write_bytes(picture(number))
    (images / "broken.png").write_text("no picture")
    program = _documented().replace("s3a://bucket/scans/", str(images)).replace("s3a://bucket/answers/", "answers")
    program = program.replace("models:/chest_ct@champion", f"models:/{NAME}@champion")
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True)
    show = "import pandas; print(pandas.read_parquet('answers').to_json(orient='records'))"
    shown = subprocess.run([sys.executable, "-c", show], cwd=tmp_path, capture_output=True, text=True, check=True)
    rows = {Path(row["path"]).name: row for row in json.loads(shown.stdout)}
    assert len(rows) == 31
    broken = rows.pop("broken.png")
    assert (broken["state"], broken["label"], broken["confidence"]) == ("error", "", None)
    assert broken["error"].startswith("not an image in a format this reads")
    classifier = Classifier.load(package, NAME, "1")
    for name, row in rows.items():
        found = classifier.classify(picture(int(name[:2])))
        assert (row["model"], row["version"], row["label"]) == (NAME, "1", found.label)
        said = [row[f"probability_{each}"] for each in CLASSES]
        assert said == pytest.approx(list(found.probabilities.values()), abs=1e-9)


def _documented() -> str:
    """The program in docs/scoring.md."""
    text = (ROOT / "docs/scoring.md").read_text()
    return text.split("```python\n", 1)[1].split("```", 1)[0]
