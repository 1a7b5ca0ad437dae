"""Several served networks as one ONNX graph: an image goes through all, their calibrated probabilities are averaged.

The mean of probabilities of networks trained apart is the deep ensemble of Lakshminarayanan, Pritzel and Blundell 2017
("Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles", section 2.4); each member is calibrated
first, by its own temperature.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.compose
import onnx.utils
from onnx import helper, numpy_helper

from cnnClassifier.decision import calibrate
from cnnClassifier.errors import ModelError
from cnnClassifier.inference import Classifier
from cnnClassifier.model_spec import FEATURES, INPUT, ONNX_FILE, OUTPUT

TOLERANCE = 1e-5
PICTURES = 4


def merge(packages: Sequence[Path], temperatures: Sequence[float], destination: Path, *, features: bool) -> None:
    """Write the graph: `probabilities` and, if asked for, the first member's `features`, for its outlier rule.

    Maps are left out: they say where a member's evidence lies, and a mean of probabilities has none of its own.
    ModelError for members written in different versions of ONNX.
    """
    parts = [
        _part(package / ONNX_FILE, f"member{number}/", [OUTPUT, *([FEATURES] if features and number == 0 else [])])
        for number, package in enumerate(packages)
    ]
    _check_versions(packages, parts)
    nodes, constants, means = [], [], []
    for number, (part, temperature) in enumerate(zip(parts, temperatures, strict=True)):
        prefix = f"member{number}/"
        constants += [*part.graph.initializer, _constant(f"{prefix}one_by_temperature", 1 / temperature)]
        nodes += [
            helper.make_node("Identity", [INPUT], [prefix + INPUT]),
            *part.graph.node,
            # As decision.calibrate: p ** (1 / temperature), rows summing to 1 again. The logarithm of 0 is minus
            # infinity, and its exponential 0 again.
            helper.make_node("Log", [prefix + OUTPUT], [f"{prefix}log"]),
            helper.make_node("Mul", [f"{prefix}log", f"{prefix}one_by_temperature"], [f"{prefix}scaled"]),
            helper.make_node("Softmax", [f"{prefix}scaled"], [f"{prefix}calibrated"], axis=-1),
        ]
        means.append(f"{prefix}calibrated")
    nodes.append(helper.make_node("Mean", means, [OUTPUT]))
    outputs = [_renamed(parts[0].graph.output[0], OUTPUT)]
    if features:
        nodes.append(helper.make_node("Identity", [f"member0/{FEATURES}"], [FEATURES]))
        outputs.append(_renamed(parts[0].graph.output[1], FEATURES))
    graph = helper.make_graph(nodes, "ensemble", [_renamed(parts[0].graph.input[0], INPUT)], outputs, constants)
    merged = helper.make_model(graph, opset_imports=parts[0].opset_import, ir_version=parts[0].ir_version)
    onnx.save(merged, destination)


def check_equal(members: Sequence[Classifier], merged: Classifier) -> float:
    """The largest difference between the merged network and the mean of its members, on random pictures.

    ModelError if it is more than TOLERANCE.
    """
    side = merged.spec.preprocessing.image_size
    pictures = np.random.default_rng(0).uniform(0, 255, (PICTURES, side, side, 3)).astype(np.float32)
    each = [calibrate(one.classify_pixels(pictures), one.spec.decision.temperature) for one in members]
    difference = float(np.abs(merged.classify_pixels(pictures) - np.mean(each, axis=0)).max())
    if not difference <= TOLERANCE:
        raise ModelError(
            f"the merged network differs from the mean of its members by {difference:.2g}, more than {TOLERANCE:.2g}; "
            "nothing was registered"
        )
    return difference


def _part(path: Path, prefix: str, outputs: list[str]) -> Any:
    """What of a model leads from the image to the outputs, every name with the prefix."""
    part = onnx.utils.Extractor(onnx.load(path)).extract_model([INPUT], outputs)
    return onnx.compose.add_prefix(part, prefix)


def _check_versions(packages: Sequence[Path], parts: Sequence[Any]) -> None:
    versions = [sorted((each.domain, each.version) for each in part.opset_import) for part in parts]
    for package, version in zip(packages, versions, strict=True):
        if version != versions[0]:
            raise ModelError(
                f"{package / ONNX_FILE} is written in operator sets {version}, {packages[0] / ONNX_FILE} in "
                f"{versions[0]}; register the older one anew (`python main.py registration`)"
            )


def _constant(name: str, value: float) -> Any:
    return numpy_helper.from_array(np.array(value, np.float32), name)


def _renamed(tensor: Any, name: str) -> Any:
    copy = onnx.ValueInfoProto()
    copy.CopyFrom(tensor)
    copy.name = name
    return copy
