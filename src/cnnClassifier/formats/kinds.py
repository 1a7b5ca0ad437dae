"""The formats there are, and what their files are called. Imports no ML library: the command line names them."""

from enum import StrEnum

from cnnClassifier.model_spec import ONNX_FILE

EXPORT_FILE = "export.json"


class Format(StrEnum):
    """What a model can be exported as."""

    ONNX = "onnx"
    LITERT = "litert"
    KERAS = "keras"
    SAVED_MODEL = "saved_model"


FILES = {
    Format.ONNX: ONNX_FILE,
    Format.LITERT: "model.tflite",
    Format.KERAS: "model.keras",
    Format.SAVED_MODEL: "saved_model",
}
