# Two images: for serving (the default) and for training.
#   docker build -t cnnclassifier .
#   docker run -p 8080:8080 cnnclassifier    # the released model
#   docker run -p 8080:8080 -v "$PWD/artifacts/registration/package:/model:ro" -e CNNCLASSIFIER_MODEL_DIR=/model cnnclassifier
#   docker build --target training -t cnnclassifier-training .
#   docker run --user "$(id -u):$(id -g)" -v "$PWD:/project" cnnclassifier-training    # the pipeline in this clone
# Other ways to provide a model: docs/serving.md.

FROM python:3.11-bookworm AS serving-packages
WORKDIR /build
COPY requirements-serve.lock .
RUN python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python install --no-cache-dir --no-compile --require-hashes -r requirements-serve.lock
# Remove what serving never loads: tests, debugging symbols, the parts of SciPy that scipy.ndimage does not need, onnxruntime's library for C programs,
# box's compiled duplicates of its modules, gdcm's programs, and the copies of its libraries (links, until a wheel is built from them). Libraries in
# *.libs were changed by auditwheel and no longer load once they are stripped.
WORKDIR /opt/venv/lib/python3.11/site-packages
RUN find . -type d -name tests -prune -exec rm -r {} + \
    && find scipy -mindepth 1 -maxdepth 1 -type d -not -name '_lib' -not -name linalg -not -name ndimage \
         -not -name sparse -not -name special -exec rm -r {} + \
    && rm -r onnxruntime/capi/libonnxruntime.so* box/*.so box/*.c _gdcm/gdcm[!s]* _gdcm/XML \
    && for full in _gdcm/lib*.so.*.*.*; do \
         ln -sf "${full##*/}" "${full%.*}" && ln -sf "${full##*/}" "${full%.*.*.*}" || exit 1; done \
    && find . -type f -name '*.so*' -not -path './*.libs/*' -exec strip --strip-unneeded {} +
# Compile only what is imported at start-up: the server may not write bytecode.
WORKDIR /build
COPY src src/
RUN PYTHONPATH=src /opt/venv/bin/python -c "import onnxruntime, cnnClassifier.web.factory, cnnClassifier.web.server"

FROM python:3.11-slim-bookworm AS serving
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app/src \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 \
    PORT=8080
WORKDIR /app
# The user owns only what must be written: fetched models and the home that MLflow's client expects.
RUN useradd --create-home --uid 10001 serve && install --directory --owner=serve /app/.cache
COPY --from=serving-packages /opt/venv /opt/venv
COPY --from=serving-packages /build/src src/
COPY config/config.yaml config/
COPY templates templates/
COPY static static/
COPY models models/
COPY app.py ./
USER 10001
EXPOSE 8080
# /ready answers 503 until the model has passed its self-test. No proxy: Docker passes the host's proxy settings on to containers.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:' + os.environ['PORT'] + '/ready', timeout=4)"]
CMD ["python", "app.py"]

FROM python:3.11-bookworm AS training-packages
WORKDIR /build
COPY requirements-uv.lock requirements.lock ./
# uv, not pip: ai-edge-litert needs a release of backports-strenum that is declared for Python below 3.11; pip refuses it.
# Bytecode is compiled here: the user may not write it, and every stage of the pipeline would compile TensorFlow again.
RUN python -m venv /opt/uv && /opt/uv/bin/pip install --no-cache-dir --require-hashes -r requirements-uv.lock \
    && python -m venv --without-pip /opt/venv \
    && /opt/uv/bin/uv pip install --no-cache --compile-bytecode --python /opt/venv/bin/python \
         --require-hashes -r requirements.lock

# The environment of requirements.lock, and git, which DVC calls; the project itself is mounted at /project.
FROM python:3.11-slim-bookworm AS training
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends git && rm -rf /var/lib/apt/lists/*
COPY --from=training-packages /opt/venv /opt/venv
# Run it as the user who owns the clone. Most users have no name in this image, and DVC needs one. Caches and settings that
# libraries write disappear with the container.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/project/src \
    PYTHONUNBUFFERED=1 \
    USER=training \
    HOME=/tmp \
    DVC_SITE_CACHE_DIR=/tmp/dvc \
    DVC_NO_ANALYTICS=1 \
    MLFLOW_DISABLE_TELEMETRY=true
WORKDIR /project
USER 10001
CMD ["python", "main.py"]

# What `docker build .` builds.
FROM serving
