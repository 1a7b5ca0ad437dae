"""The key that clients of the web app or the Lambda function send; it stands in the environment, in no file of git."""

from cnnClassifier.errors import ConfigError

API_KEY = "CNNCLASSIFIER_API_KEY"
HEADER = "X-API-Key"
LEAST_LENGTH = 16


def check_key(key: str) -> str:
    """The key that the environment has; ConfigError for one that could be guessed."""
    if len(key) < LEAST_LENGTH:
        raise ConfigError(f"{API_KEY} in the environment: at least {LEAST_LENGTH} characters. Received: {len(key)}")
    return key
