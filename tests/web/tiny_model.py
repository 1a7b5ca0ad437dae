"""A real ONNX model in a few nodes: red is adenocarcinoma, green large cell, blue squamous."""

import io
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from cnnClassifier.config.types import PreprocessingSpec
from cnnClassifier.inference import INPUT, OUTPUT
from cnnClassifier.model_spec import ONNX_FILE, ModelSpec, write_spec

SIZE = 32
CLASSES = ("adenocarcinoma", "large_cell_carcinoma", "squamous_cell_carcinoma", "normal")
COLOURS = {
    "adenocarcinoma": (250, 0, 0),
    "large_cell_carcinoma": (0, 250, 0),
    "squamous_cell_carcinoma": (0, 0, 250),
    "normal": (0, 0, 0),
}
SPEC = ModelSpec(
    classes=CLASSES,
    preprocessing=PreprocessingSpec(size=SIZE, channels="rgb", body_crop=False, contrast=None),
    backbone="TinyColours",
    weights="none",
    freeze="none",
    description="Tells pictures apart by colour.",
)


def write_package(folder: Path, spec: ModelSpec = SPEC, outputs: int = 4, size: int | None = SIZE) -> Path:
    """A package folder; `outputs` and `size` (None: open) are the ONNX file's own."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(_colour_model(outputs, size), folder / ONNX_FILE)
    write_spec(spec, folder)
    return folder


def picture(label: str = "adenocarcinoma", size: tuple[int, int] = (48, 40), kind: str = "PNG") -> bytes:
    """An encoded picture that the tiny model takes for `label`."""
    encoded = io.BytesIO()
    Image.new("RGB", size, COLOURS[label]).save(encoded, kind)
    return encoded.getvalue()


def noise(side: int) -> bytes:
    """A PNG that does not compress: about 3 x side x side bytes."""
    encoded = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(encoded, "PNG")
    return encoded.getvalue()


def _colour_model(outputs: int, size: int | None) -> onnx.ModelProto:
    side = size or "side"
    weights = 12 / 255 * np.eye(3, outputs, dtype=np.float32)
    bias = np.array([0, 0, 0, 4] + [0] * outputs, dtype=np.float32)[:outputs]
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", [INPUT, "axes"], ["colour"], keepdims=0),
            helper.make_node("Gemm", ["colour", "weights", "bias"], ["logits"]),
            helper.make_node("Softmax", ["logits"], [OUTPUT], axis=-1),
        ],
        "colours",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", side, side, 3])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", outputs])],
        [
            numpy_helper.from_array(np.array([1, 2], dtype=np.int64), "axes"),
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(bias, "bias"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
