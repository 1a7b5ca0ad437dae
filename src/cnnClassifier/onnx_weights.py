"""The weights inside an ONNX file: stored in half precision, and read out again for training."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


def round_to_half(source: Path, destination: Path) -> None:
    """Write an ONNX model with the kernels of convolutions rounded to half precision, still stored as float32.

    `store_in_half` then changes them no more. ModelError if a weight is too large for half precision.
    """
    model = _read(source)
    of_convolutions = {node.input[1] for node in model.graph.node if node.op_type == "Conv"}
    for tensor in (each for each in model.graph.initializer if each.name in of_convolutions and _is_kernel(each)):
        rounded = _half(tensor, source).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(rounded, tensor.name))
    onnx.save(model, destination)


def kernel_types(path: Path) -> set[str]:
    """The names of the types in which a model's kernels are stored, such as {"FLOAT16"}."""
    kernels = filter(_is_large, _read(path).graph.initializer)
    return {TensorProto.DataType.Name(tensor.data_type) for tensor in kernels}


def convolutions(path: Path) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Kernel (height, width, in, out) and bias (out,) of each convolution, in the order in which they are computed.

    Of a network with nothing but plain convolutions, as VGG16; one in eight bits keeps its kernels and rounds them when
    it is loaded. ModelError for one without biases.
    """
    return list(_convolutions(_read(path).graph, path))


def _convolutions(graph: onnx.GraphProto, path: Path) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    made = {node.output[0]: node for node in graph.node}
    for node in graph.node:
        if node.op_type == "Conv":
            try:
                kernel, bias = (_constant(name, stored, made) for name in node.input[1:])
            except (KeyError, ValueError):
                fault = f"{path}: convolution {node.name} is not one of a stored kernel and a stored bias"
                raise ModelError(fault) from None
            yield kernel.transpose(2, 3, 1, 0), bias


def _constant(name: str, stored: dict[str, NDArray[Any]], made: dict[str, onnx.NodeProto]) -> NDArray[np.float32]:
    """A stored tensor, as it was before it was cast or made one of fewer bits; KeyError if it is none."""
    if name in stored:
        return stored[name].astype(np.float32)
    node = made[name]
    if node.op_type == "DequantizeLinear" and node.input[0] in stored:
        # A bias: a whole number of the scale, without an offset.
        return (stored[node.input[0]] * stored[node.input[1]].astype(np.float64)).astype(np.float32)
    if node.op_type in ("Cast", "QuantizeLinear", "DequantizeLinear"):
        return _constant(node.input[0], stored, made)
    raise KeyError(name)


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


def _half(tensor: TensorProto, path: Path) -> NDArray[np.float16]:
    with np.errstate(over="ignore"):
        half: NDArray[np.float16] = numpy_helper.to_array(tensor).astype(np.float16)
    if not np.isfinite(half).all():
        raise ModelError(f"{path}: {tensor.name} holds numbers beyond half precision (65504)")
    return half


def _halve(tensor: TensorProto, path: Path) -> onnx.NodeProto:
    """Round a tensor in place; the node that gives it back under its name."""
    name = tensor.name
    tensor.CopyFrom(numpy_helper.from_array(_half(tensor, path), name + HALF))
    return helper.make_node("Cast", [name + HALF], [name], to=TensorProto.FLOAT)
