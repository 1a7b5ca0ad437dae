"""The usual web app of such projects: `python family_app.py SIZE PORT MODEL`; it loads the model in each request."""

import base64
import io
import sys

import keras
import numpy as np
from flask import Flask, Response, jsonify, request
from PIL import Image

app = Flask(__name__)
size, port, file = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]


@app.post("/predict")
def predict() -> Response:
    """The class of one image."""
    picture = Image.open(io.BytesIO(base64.b64decode(request.json["image"]))).convert("RGB").resize((size, size))
    model = keras.models.load_model(file)
    answer = model.predict(np.asarray(picture, dtype="float32")[None], verbose=0)
    return jsonify({"label": int(answer.argmax())})


@app.get("/ready")
def ready() -> str:
    """That it runs."""
    return "ready"


app.run(port=port)
