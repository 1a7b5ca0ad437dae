import base64
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib.metadata import packages_distributions

import pandas as pd
import pytest
from finished_project import CLASSES, NAME, picture

from cnnClassifier.tracking import registry
from cnnClassifier.tracking.client import import_mlflow
from cnnClassifier.tracking.packaging import MODEL_CODE, REQUIREMENTS, imported_modules, serving_files
from cnnClassifier.tracking.run import open_run
from mlflow_servers import SCRIPTS, answers, free_port

PICTURE = base64.b64encode(picture()).decode()
REQUEST = json.dumps({"dataframe_records": [{"image": PICTURE}]})
DECIDED = ["label", "confidence", "state", "prediction_set", "changes", "error"]
COLUMNS = [*DECIDED, *[f"probability_{name}" for name in CLASSES], "model", "version"]
# Loads and asks the saved model where none of these can be imported, nor this package but from the model.
BARE = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name in {"tensorflow", "keras", "dvc", "kagglehub", "onnx", "tf2onnx", "dagshub", "matplotlib"}:
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
import mlflow, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
picture = open(sys.argv[2], "rb").read()
print(model.predict(pandas.DataFrame({"image": [picture]})).to_json(orient="records"))
import cnnClassifier
print(cnnClassifier.__file__)
"""


def test_a_saved_model_brings_its_code_and_needs_no_tensorflow(model_folder, tmp_path):
    (tmp_path / "picture.png").write_bytes(picture())
    command = [sys.executable, "-c", BARE, str(model_folder), str(tmp_path / "picture.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    [answer], origin = map(_json_or_text, done.stdout.splitlines())
    assert list(answer) == COLUMNS
    assert answer["version"] == "unregistered"
    assert origin.startswith(str(model_folder))


def test_the_model_holds_pinned_requirements_and_the_keras_model(model_folder):
    pinned = (model_folder / "requirements.txt").read_text().splitlines()
    assert [line.partition("==")[0] for line in pinned] == list(REQUIREMENTS)
    assert all("==" in line for line in pinned)
    assert (model_folder / "artifacts" / "keras_model" / "model.weights.h5").is_file()
    assert (model_folder / "artifacts" / "package" / "model.onnx").is_file()


def test_only_code_that_serving_needs_is_shipped():
    names = {file.name for file in serving_files()}
    assert {"inference.py", "preprocessing.py", "decision.py", "outliers.py", "errors.py"} <= names
    assert not {"loading.py", "modeling.py", "run.py"} & names


def test_every_library_that_the_shipped_code_imports_is_among_the_requirements():
    modules = {module.partition(".")[0] for file in [*serving_files(), MODEL_CODE] for module in imported_modules(file)}
    libraries = modules - set(sys.stdlib_module_names) - {"cnnClassifier"}
    owners = packages_distributions()
    assert all({name.lower() for name in owners[library]} & set(REQUIREMENTS) for library in libraries)


def test_base64_text_stands_for_bytes(model_folder):
    model = import_mlflow().pyfunc.load_model(str(model_folder))
    text = base64.encodebytes(picture()).decode()
    images = [picture(), text, f"data:image/png;base64,{text}"]
    answers = [model.predict(pd.DataFrame({"image": [image]})).to_dict("records") for image in images]
    assert answers[0] == answers[1] == answers[2]


def test_what_is_neither_bytes_nor_base64_is_a_row_and_the_others_are_answered(model_folder):
    model = import_mlflow().pyfunc.load_model(str(model_folder)).unwrap_python_model()
    broken, whole = ["*", ["a"], None, float("nan"), pd.NA], [picture(), bytearray(picture()), memoryview(picture())]
    rows = model.predict(None, pd.DataFrame({"image": pd.Series([*broken, *whole], dtype=object)})).to_dict("records")
    assert [row["state"] for row in rows] == ["error"] * len(broken) + ["answer"] * len(whole)
    assert all(row["error"].startswith("column `image` ") for row in rows[: len(broken)])
    assert rows[-1] == rows[-2] == rows[-3]


@pytest.mark.parametrize("image", [None, "not base64!"])
def test_a_row_without_an_image_passes_the_signature_too(model_folder, image):
    model = import_mlflow().pyfunc.load_model(str(model_folder))
    rows = model.predict(pd.DataFrame({"image": pd.Series([picture(), image], dtype=object)}))
    assert list(rows["state"]) == ["answer", "error"]


def test_an_image_that_cannot_be_read_is_a_row_and_the_others_are_answered(model_folder):
    model = import_mlflow().pyfunc.load_model(str(model_folder))
    answers = model.predict(pd.DataFrame({"image": [b"no picture", picture()]}))
    assert list(answers) == COLUMNS
    assert list(answers["state"]) == ["error", "answer"]
    assert answers["error"][0].startswith("not an image in a format this reads")
    assert answers["confidence"].isna().tolist() == [True, False]
    assert not answers.drop(columns="confidence").select_dtypes(exclude="number").isna().any(axis=None)
    assert list(model.predict(pd.DataFrame({"image": [b""]}))["error"]) == ["the file is empty"]


@pytest.mark.server
def test_mlflow_predict_and_serve_answer_with_the_registered_model(local, settings, paths, model_folder, tmp_path):
    run = open_run(local, settings, paths.cache)
    version = registry.register(run, model_folder, NAME, "x", {})
    registry.set_alias(local, NAME, version, "champion")
    environ = {**os.environ, "MLFLOW_TRACKING_URI": local.uri, "PATH": f"{SCRIPTS}:{os.environ['PATH']}"}
    model = ["-m", f"models:/{NAME}@champion", "--env-manager", "local"]
    port = free_port()
    with (tmp_path / "serve.log").open("wb") as log:
        serving = subprocess.Popen(
            [SCRIPTS / "mlflow", "models", "serve", *model, "-p", str(port)], env=environ, stdout=log, stderr=log
        )
    try:
        (tmp_path / "request.json").write_text(REQUEST)
        files = ["-i", tmp_path / "request.json", "-o", tmp_path / "answer.json"]
        subprocess.run(
            [SCRIPTS / "mlflow", "models", "predict", *model, *files], env=environ, check=True, capture_output=True
        )
        predicted = json.loads((tmp_path / "answer.json").read_text())["predictions"]
        assert _ask(port) == predicted
        for image in (None, "not base64!"):  # as docs/tracking.md says: MLflow's own doing, before the model is asked
            with pytest.raises(urllib.error.HTTPError) as refused:
                _ask(port, json.dumps({"dataframe_records": [{"image": PICTURE}, {"image": image}]}))
            assert "Failed to convert column image" in refused.value.read().decode()
        [unreadable, whole] = _ask(
            port, json.dumps({"dataframe_records": [{"image": "bm8gcGljdHVyZQ=="}, {"image": PICTURE}]})
        )
        assert (unreadable["state"], whole["state"]) == ("error", "answer")
    finally:
        serving.terminate()
        serving.wait()
    assert list(predicted[0]) == COLUMNS
    assert predicted[0]["version"] == str(version)


def _ask(port, asked=REQUEST):
    end = time.monotonic() + 90
    while not answers(port):
        assert time.monotonic() < end, "mlflow models serve does not answer"
        time.sleep(0.2)
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/invocations", asked.encode(), headers)
    with urllib.request.urlopen(request) as response:
        return json.load(response)["predictions"]


def _json_or_text(line):
    return json.loads(line) if line.startswith("[") else line
