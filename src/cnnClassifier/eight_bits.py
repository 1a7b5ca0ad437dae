"""An ONNX network whose convolutions compute in eight bits: three times faster on a processor, half the memory.

Static quantisation with a scale for each channel of a kernel (Krishnamoorthi 2018, arXiv:1806.08342): activations range
from the least to the greatest value that some real images give.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from cnnClassifier.errors import ModelError
from cnnClassifier.files import scratch_folder
from cnnClassifier.onnx_weights import round_to_half
from cnnClassifier.quiet import errors_only

Pixels = NDArray[np.float32]


def quantise(source: Path, destination: Path, images: Iterable[Pixels]) -> None:
    """Write the network with its convolutions, and the ReLU and pooling between them, in eight bits; the rest stays.

    `images` (size, size, 3), as the network gets them, are some tens that it takes its ranges from. The file keeps the
    kernels in half precision, each with the scale that makes seven bits of it when it is loaded: with eight, sums
    overflow on processors without VNNI, and answers would depend on the machine. ModelError without convolutions.
    """
    with scratch_folder(destination.with_name(f"{destination.name}.eight_bits")) as scratch, errors_only():
        # The quantiser logs advice, on the root logger, that is already followed here.
        rounded, prepared = scratch / "rounded.onnx", scratch / "prepared.onnx"
        round_to_half(source, rounded)
        quant_pre_process(rounded, prepared, skip_symbolic_shape=True)
        graph = onnx.load(prepared).graph
        names = list(_convolutional(graph))
        if not names:
            raise ModelError(f"{source}: no convolutions, so nothing to compute in eight bits; use precision: float32")
        written = scratch / "int8.onnx"
        quantize_static(
            prepared,
            written,
            _Reader(graph.input[0].name, images),
            quant_format=QuantFormat.QDQ,
            nodes_to_quantize=names,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"AddQDQPairToWeight": True},
        )
        network = onnx.load(written)
        # The tools above name every operator set they know; a network merges only with one of the same sets.
        del network.opset_import[:]
        network.opset_import.extend(onnx.load(source).opset_import)
        onnx.save(network, destination)


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Gives ONNX Runtime one image at a time."""

    def __init__(self, name: str, images: Iterable[Pixels]) -> None:
        self.name, self.images = name, iter(images)

    def get_next(self) -> dict[str, Pixels] | None:
        image = next(self.images, None)
        return None if image is None else {self.name: image[np.newaxis]}


def _convolutional(graph: onnx.GraphProto) -> Iterator[str]:
    """The names of convolutions, of what pools, and of each ReLU right behind a convolution: it costs no range then."""
    of_convolutions = {node.output[0] for node in graph.node if node.op_type == "Conv"}
    for node in graph.node:
        if node.op_type in ("Conv", "MaxPool") or (node.op_type == "Relu" and node.input[0] in of_convolutions):
            yield node.name
