"""Which of the developer's environment variables tests must not see."""

import os

AMBIENT = (
    "AWS_ACCESS_KEY_ID",
    "AWS_ENDPOINT_URL",
    "AWS_SECRET_ACCESS_KEY",
    "CNNCLASSIFIER_API_KEY",
    "CNNCLASSIFIER_FEEDBACK",
    "CNNCLASSIFIER_LOG_LEVEL",
    "CNNCLASSIFIER_MODEL",
    "CNNCLASSIFIER_MODEL_DIR",
    "CNNCLASSIFIER_MODEL_VERSION",
    "CNNCLASSIFIER_PREDICTION_LOG",
    "CNNCLASSIFIER_SWEEP_STORAGE",
    "CNNCLASSIFIER_TRAINING_RAY",
    "CNNCLASSIFIER_WEIGHTS_DIR",
    "DAGSHUB_TOKEN",
    "DAGSHUB_USER_TOKEN",
    "DVC_EXP_NAME",
    "HOST",
    "MLFLOW_ARTIFACTS_DESTINATION",
    "MLFLOW_BACKEND_STORE_URI",
    "MLFLOW_S3_ENDPOINT_URL",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_URI",
    "MLFLOW_TRACKING_USERNAME",
    "PORT",
)


def clean_environment() -> dict[str, str]:
    """An environment for subprocesses: ours without the ambient settings, and without telemetry."""
    kept = {name: value for name, value in os.environ.items() if name not in AMBIENT}
    return {**kept, "MLFLOW_DISABLE_TELEMETRY": "true", "DVC_NO_ANALYTICS": "1"}
