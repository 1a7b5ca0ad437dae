"""DagsHub's credentials, in the form MLflow reads them: two environment variables.

DagsHub takes an access token as user name and password alike. `dagshub.init()` is not used for this: it
asks DagsHub's own API for the repository, creates one when the name is misspelt, and opens a browser
without a token. What helps is the token that `dagshub login` has stored.
"""

import os
from urllib.parse import urlsplit

from cnnClassifier.errors import TrackingError
from cnnClassifier.tracking.client import masked

USERNAME, PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
TOKENS = ("DAGSHUB_USER_TOKEN", "DAGSHUB_TOKEN")
OWN_HOST = "DAGSHUB_CLIENT_HOST"  # dagshub's variable for an enterprise's own DagsHub


def provide_dagshub_credentials(uri: str) -> None:
    """For a DagsHub address, fill what the environment lacks with the access token, if there is one."""
    if not is_dagshub(uri) or _has_credentials(uri):
        return
    token = token_at(uri)
    for name in (USERNAME, PASSWORD):
        if token and not os.environ.get(name):
            os.environ[name] = token


def check_dagshub_address(uri: str) -> None:
    """A repository's page is not its MLflow server: TrackingError saying the right address."""
    if is_dagshub(uri) and not uri.rstrip("/").endswith(".mlflow"):
        raise TrackingError(
            f"{masked(uri)}: a DagsHub repository's MLflow server ends in .mlflow; "
            f"set MLFLOW_TRACKING_URI={masked(uri).rstrip('/').removesuffix('.git')}.mlflow"
        )


def token_at(uri: str) -> str | None:
    """The token for a DagsHub: the environment's, else that of `dagshub login`, checked with the host."""
    return _token_of_environment() or _token_of_login(uri)


def is_dagshub(uri: str) -> bool:
    """Whether an address is at dagshub.com, or at the enterprise host that dagshub is configured for."""
    host, own = _host(uri), _host(os.environ.get(OWN_HOST, ""))
    return host == "dagshub.com" or host.endswith(".dagshub.com") or bool(own and host == own)


def _host(uri: str) -> str:
    try:
        return urlsplit(uri).hostname or ""
    except ValueError:  # its words quote the address, and perhaps a password
        raise TrackingError(
            f"{masked(uri)}: not an address; special characters in a user name or password must be percent-encoded"
        ) from None


def _has_credentials(uri: str) -> bool:
    environ = os.environ
    in_environment = environ.get("MLFLOW_TRACKING_TOKEN") or (environ.get(USERNAME) and environ.get(PASSWORD))
    return bool(in_environment or urlsplit(uri).password)


def _token_of_environment() -> str | None:
    return next((os.environ[name] for name in TOKENS if os.environ.get(name)), None)


def _token_of_login(uri: str) -> str | None:
    """The token of `dagshub login`, checked with DagsHub; None without one. Never opens a browser."""
    os.environ.setdefault("DAGSHUB_QUIET", "true")
    try:
        from dagshub.auth import get_token
        from httpx import HTTPError
    except ImportError:  # the serving environment goes without dagshub
        return None
    address = urlsplit(uri)
    try:
        return str(get_token(host=f"{address.scheme}://{address.netloc}", fail_if_no_token=True))
    except (RuntimeError, HTTPError):
        return None
