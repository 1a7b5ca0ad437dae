"""The weights inside an ONNX file: stored in half precision, and read out again for training."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from cnnClassifier.errors import ModelError

LEAST_NUMBERS = 1024  # smaller tensors stay as they are: rounding them would save nothing
HALF = ":half"


def store_in_half(source: Path, destination: Path) -> None:
    """Write an ONNX model whose kernels are float16, each with a Cast to float32 behind it.

    ONNX Runtime casts them once, when it loads the file, and computes in float32: the answers are exactly those of
    rounded weights, at the same speed. Vectors (biases, statistics of features) are not rounded.
    ModelError if a weight is too large for half precision.
    """
    model = _read(source)
    casts = [_halve(tensor, source) for tensor in model.graph.initializer if _is_kernel(tensor)]
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, destination)


def kernel_types(path: Path) -> set[str]:
    """The names of the types in which a model's kernels are stored, such as {"FLOAT16"}."""
    kernels = filter(_is_large, _read(path).graph.initializer)
    return {TensorProto.DataType.Name(tensor.data_type) for tensor in kernels}


def convolutions(path: Path) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Kernel (height, width, in, out) and bias (out,) of each convolution, in the order in which they are computed.

    Of a network with nothing but plain convolutions, as VGG16; ModelError for one without biases.
    """
    graph = _read(path).graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    stored |= {node.output[0]: stored[node.input[0]] for node in graph.node if _is_cast_of(node, stored)}
    return list(_convolutions(graph, stored, path))


def _convolutions(
    graph: onnx.GraphProto, stored: dict[str, TensorProto], path: Path
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    for node in graph.node:
        if node.op_type == "Conv":
            found = [stored.get(name) for name in node.input[1:]]
            if len(found) != 2 or None in found:
                raise ModelError(f"{path}: convolution {node.name} is not one of a stored kernel and a stored bias")
            kernel, bias = (numpy_helper.to_array(tensor).astype(np.float32) for tensor in found)
            yield kernel.transpose(2, 3, 1, 0), bias


def _read(path: Path) -> onnx.ModelProto:
    try:
        return onnx.load(path)
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file") from None
    except (DecodeError, OSError) as error:
        raise ModelError(f"{path}: not an ONNX model: {' '.join(str(error).split())}") from None


def _is_large(tensor: TensorProto) -> bool:
    return len(tensor.dims) > 1 and int(np.prod(tensor.dims)) >= LEAST_NUMBERS


def _is_kernel(tensor: TensorProto) -> bool:
    return tensor.data_type == TensorProto.FLOAT and _is_large(tensor)


def _halve(tensor: TensorProto, path: Path) -> onnx.NodeProto:
    """Round a tensor in place; the node that gives it back under its name."""
    name = tensor.name
    with np.errstate(over="ignore"):
        half = numpy_helper.to_array(tensor).astype(np.float16)
    if not np.isfinite(half).all():
        raise ModelError(f"{path}: {name} holds numbers beyond half precision (65504)")
    tensor.CopyFrom(numpy_helper.from_array(half, name + HALF))
    return helper.make_node("Cast", [name + HALF], [name], to=TensorProto.FLOAT)


def _is_cast_of(node: onnx.NodeProto, stored: dict[str, TensorProto]) -> bool:
    return node.op_type == "Cast" and node.input[0] in stored
