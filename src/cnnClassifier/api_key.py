"""The key that clients of the web app or the Lambda function send; it stands in the environment, in no file of git."""

from cnnClassifier.errors import ConfigError

API_KEY = "CNNCLASSIFIER_API_KEY"
HEADER = "X-API-Key"
LEAST_LENGTH = 16


def check_key(key: str) -> str:
    """The key that the environment has; ConfigError for one that could be guessed, or that nobody can send.

    The end of a line is no part of it: `echo key | base64`, as for a secret of Kubernetes, brings one along.
    """
    key = key.rstrip("\r\n")
    if not (key.isascii() and key.isprintable()) or key != key.strip():
        raise ConfigError(
            f"{API_KEY} in the environment: only printable ASCII characters, and no blank before or after them; "
            "no client could send another key in a header"
        )
    if len(key) < LEAST_LENGTH:
        raise ConfigError(f"{API_KEY} in the environment: at least {LEAST_LENGTH} characters. Received: {len(key)}")
    return key
