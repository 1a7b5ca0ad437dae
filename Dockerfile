# The serving image: the web app on ONNX Runtime, without TensorFlow.
#   docker build -t cnnclassifier .
#   docker run -p 8080:8080 cnnclassifier    # the released model
#   docker run -p 8080:8080 -v "$PWD/artifacts/registration/package:/model:ro" -e CNNCLASSIFIER_MODEL_DIR=/model cnnclassifier
# More ways to give it a model: docs/serving.md.

FROM python:3.11-slim-bookworm AS packages
WORKDIR /build
RUN python -m venv /opt/venv
COPY requirements-serve.lock .
RUN /opt/venv/bin/pip install --no-cache-dir --require-hashes -r requirements-serve.lock

FROM python:3.11-slim-bookworm
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app/src \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 \
    PORT=8080
WORKDIR /app
# The user owns only what must be written: fetched models and the home that MLflow's client expects.
RUN useradd --create-home --uid 10001 serve && install --directory --owner=serve /app/.cache
COPY --from=packages /opt/venv /opt/venv
COPY config/config.yaml config/
COPY templates templates/
COPY static static/
COPY src src/
COPY models models/
COPY app.py ./
USER 10001
EXPOSE 8080
# /ready answers 503 until the model has passed its self-test.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/ready', timeout=4)"]
CMD ["python", "app.py"]
