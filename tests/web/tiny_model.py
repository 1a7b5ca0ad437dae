"""A real ONNX model in a few nodes: red is adenocarcinoma, green large cell, blue squamous."""

import io
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from cnnClassifier.config.network import PreprocessingSpec
from cnnClassifier.decision import ConformalRule, DecisionSpec, OperatingPoint, OutlierRule
from cnnClassifier.model_card.card import HTML, as_page
from cnnClassifier.model_spec import FEATURES, INPUT, MAPS, ONNX_FILE, OUTLIERS_FILE, OUTPUT, ModelSpec, write_spec
from cnnClassifier.outliers import Reference, save_reference

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
    preprocessing=PreprocessingSpec(image_size=SIZE, channels="rgb", body_crop=False, contrast=None),
    backbone="TinyColours",
    weights="none",
    freeze="none",
    description="Tells pictures apart by colour.",
)


# Answers "large cell" (green) from a probability of 0.12 up, abstains between several classes, refuses grey.
DECIDING = SPEC.model_copy(
    update={
        "decision": DecisionSpec(
            outliers=OutlierRule(threshold=0.8),
            operating=OperatingPoint(positive=("large_cell_carcinoma",), threshold=0.12),
            conformal=ConformalRule(coverage=0.9, quantile=0.7),
            abstain="ambiguous",
        )
    }
)
REFERENCE = Reference(np.eye(3, dtype=np.float32).repeat(5, axis=0), np.ones(3, dtype=np.float32))
PURE, LEANING, MIXED, GREY = (250, 0, 0), (150, 112, 0), (125, 125, 0), (120, 120, 120)


def write_package(
    folder: Path,
    spec: ModelSpec = SPEC,
    outputs: int = 4,
    size: int | None = SIZE,
    features: bool = True,
    maps: int | None = None,
) -> Path:
    """A package folder; `outputs` and `size` (None: open) are the ONNX file's own.

    `maps` is how many classes it has maps of (None: an older package, without): the colours in each eighth of the side.
    """
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(_colour_model(outputs, size, features, maps), folder / ONNX_FILE)
    write_spec(spec, folder)
    return folder


def write_explaining_package(folder: Path) -> Path:
    """A package with maps, 8 x 8: where there is red, there is evidence of adenocarcinoma, and so on."""
    return write_package(folder, maps=len(CLASSES))


def write_deciding_package(folder: Path) -> Path:
    """A package with every rule: see DECIDING."""
    save_reference(REFERENCE, write_package(folder, DECIDING) / OUTLIERS_FILE)
    return folder


def write_package_with_card(folder: Path) -> Path:
    """A package with a card: Markdown made a page as registration makes it."""
    write_package(folder)
    (folder / HTML).write_text(
        as_page("# Model card: colours\n\n| a | b |\n| -: | - |\n| 1 | 2 |\n", "Model card: colours")
    )
    return folder


def picture(label: str = "adenocarcinoma", size: tuple[int, int] = (48, 40), kind: str = "PNG") -> bytes:
    """An encoded picture that the tiny model takes for `label`."""
    return coloured(COLOURS[label], size, kind)


def coloured(colour: tuple[int, int, int], size: tuple[int, int] = (48, 40), kind: str = "PNG") -> bytes:
    """An encoded picture of one colour."""
    encoded = io.BytesIO()
    Image.new("RGB", size, colour).save(encoded, kind)
    return encoded.getvalue()


def with_spot(colour: tuple[int, int, int], row: int, column: int, side: int = 48) -> bytes:
    """A black PNG with a spot of one colour, an eighth of the side, its middle at `row`, `column`."""
    image = Image.new("RGB", (side, side))
    half = side // 16
    image.paste(colour, (column - half, row - half, column + half, row + half))
    encoded = io.BytesIO()
    image.save(encoded, "PNG")
    return encoded.getvalue()


def noise(side: int) -> bytes:
    """A PNG that does not compress: about 3 x side x side bytes."""
    encoded = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(encoded, "PNG")
    return encoded.getvalue()


def _colour_model(outputs: int, size: int | None, features: bool, maps: int | None) -> onnx.ModelProto:
    side = size or "side"
    weights = 12 / 255 * np.eye(3, outputs, dtype=np.float32)
    bias = np.array([0, 0, 0, 4] + [0] * outputs, dtype=np.float32)[:outputs]
    nodes = [
        helper.make_node("ReduceMean", [INPUT, "axes"], [FEATURES], keepdims=0),
        helper.make_node("Gemm", [FEATURES, "weights", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], [OUTPUT], axis=-1),
    ]
    answers = {OUTPUT: [outputs]} | ({FEATURES: [3]} if features else {})
    constants = {"axes": np.array([1, 2], dtype=np.int64), "weights": weights, "bias": bias}
    if maps is not None:
        cell = SIZE // 8
        nodes += [
            helper.make_node("Transpose", [INPUT], ["colours"], perm=[0, 3, 1, 2]),
            helper.make_node("Conv", ["colours", "kernel"], [MAPS], strides=[cell, cell]),
        ]
        answers[MAPS] = [maps, 8, 8]
        # The mean of a cell's pixels, a 64th of the logit: the maps sum to the logits, but for the bias.
        kernel = 12 / 255 / 64 / cell**2 * np.eye(maps, 3, dtype=np.float32)
        constants["kernel"] = np.broadcast_to(kernel[..., None, None], (maps, 3, cell, cell)).copy()
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", side, side, 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape]) for name, shape in answers.items()],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
