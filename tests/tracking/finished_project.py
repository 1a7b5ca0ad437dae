"""What a finished pipeline leaves behind, tiny: settings, stage files, a served package."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from cnnClassifier.config.network import PreprocessingSpec
from cnnClassifier.config.types import Paths, Settings
from cnnClassifier.model_spec import ONNX_FILE, ModelSpec, write_spec

CLASSES = ("adenocarcinoma", "large_cell_carcinoma", "squamous_cell_carcinoma", "normal")
NAME = "tiny_chest_ct"
EPOCHS = [{"loss": 1.4, "val_loss": 1.5}, {"loss": 0.9, "val_loss": 1.1}, {"loss": 0.5, "val_loss": 0.8}]
SPEC = ModelSpec(
    classes=CLASSES,
    preprocessing=PreprocessingSpec(image_size=32),
    backbone="tiny",
    weights="none",
    freeze="none",
)


def settings(**training: Any) -> Settings:
    tree = {
        "data_ingestion": {
            "seed": 0,
            "source": {"kind": "phantom"},
            "classes": {name: [f"{name}_of_the_left_lower_lobe_T2_N0_M0_Ib"] * 8 for name in CLASSES},
            "random_split": {},
        },
        "data_audit": {},
        "prepare_base_model": {"seed": 0, "backbone": "tiny"},
        "training": {"seed": 0, "epochs": 3, "batch_size": 8, "learning_rate": 0.001, **training},
        "evaluation": {"seed": 0},
        "registration": {"name": NAME, "description": "A tiny stand-in."},
    }
    return Settings.model_validate(tree)


def project_paths(root: Path) -> Paths:
    files = {"manifest": "in/manifest.csv", "rejected": "in/rejected.csv", "classes": "in/classes.json"}
    files |= {"audit": "audit/audit.json", "audited_manifest": "audit/manifest.csv"}
    files |= {"audit_report": "audit/audit.html", "pairs": "audit/pairs.csv"}
    files |= {"history": "training/history.csv", "training_plots": "training/plots"}
    files |= {"out_of_fold": "training/out_of_fold.csv", "decision": "evaluation/decision.json"}
    files |= {"metrics": "evaluation/metrics.json", "evaluation_plots": "evaluation/plots"}
    files |= {"predictions": "evaluation/predictions.csv", "registration": "registration.json"}
    return Paths(**{name: root / files.get(name, name) for name in Paths.model_fields})


def write_stage_files(paths: Paths) -> None:
    """The files of every stage but registration."""
    _write(paths.manifest, "id,split\na,train\nb,train\nc,test\n")
    _write(paths.rejected, "path,reason\n")
    _write(paths.classes, json.dumps(CLASSES))
    _write(paths.audit, json.dumps({"copies": {"across_splits": 3, "examples": ["a", "b"]}}))
    _write(paths.audited_manifest, "id,split\na,train\nc,test\n")
    _write(paths.audit_report, "<!doctype html>")
    _write(paths.pairs, "kind,first,second,correlation\n")
    _write(paths.base_model / "summary.txt", "tiny")
    _write(paths.base_model / "parameters.json", json.dumps({"total": 12, "trainable": 4}))
    write_history(paths)
    _write(paths.training_plots / "history.png", "png")
    _write(paths.out_of_fold, "id,fold,label\na,0,normal\n")
    _write(paths.metrics, json.dumps({"published": {"accuracy": {"value": 0.9, "low": 0.8, "high": 0.95}}}))
    _write(paths.evaluation_plots / "roc.csv", "fpr,tpr\n0,0\n")
    _write(paths.predictions, "id,label\nc,normal\n")
    _write(paths.decision, json.dumps({"temperature": 1.0}))


def write_history(paths: Paths) -> None:
    rows = [f"{epoch},{row['loss']},{row['val_loss']},ok" for epoch, row in enumerate(EPOCHS)]
    _write(paths.history, "\n".join(["epoch,loss,val_loss,note", *rows]) + "\n")


def write_package(folder: Path) -> Path:
    """A served package whose answer depends on how bright an image is."""
    folder.mkdir(parents=True)
    onnx.save(_brightness_model(), folder / ONNX_FILE)
    write_spec(SPEC, folder)
    return folder


def write_keras_model(folder: Path) -> Path:
    _write(folder / "architecture.json", "{}")
    _write(folder / "model.weights.h5", "for retraining only")
    return folder


def picture(grey: int = 90) -> bytes:
    encoded = io.BytesIO()
    image = Image.new("L", (48, 48), 0)
    image.paste(grey, (8, 8, 40, 40))
    image.save(encoded, "PNG")
    return encoded.getvalue()


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _brightness_model() -> onnx.ModelProto:
    weights = np.linspace(-0.02, 0.02, 12, dtype=np.float32).reshape(3, 4)
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["image", "axes"], ["colour"], keepdims=0),
            helper.make_node("MatMul", ["colour", "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
        ],
        "brightness",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 32, 32, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 4])],
        [
            numpy_helper.from_array(np.array([1, 2], dtype=np.int64), "axes"),
            numpy_helper.from_array(weights, "weights"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
