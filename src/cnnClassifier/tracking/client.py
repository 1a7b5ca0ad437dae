"""The one import of mlflow, and how its errors become ours.

Importing mlflow takes seconds, so it happens in a function, when it is first needed.
"""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cnnClassifier.errors import TrackingError

DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
# What these say below the given level is either noise or said better by our own one line.
LEAST_LEVELS = {
    "alembic": logging.WARNING,
    "mlflow.pyfunc": logging.WARNING,
    "mlflow.store.db.utils": logging.WARNING,
    "mlflow.store.model_registry.abstract_store": logging.WARNING,
    "urllib3.connectionpool": logging.ERROR,
}
REASON_LENGTH = 300

ADVICE = {
    "UNAUTHENTICATED": "the credentials are missing or wrong; set MLFLOW_TRACKING_USERNAME and "
    "MLFLOW_TRACKING_PASSWORD (for DagsHub: DAGSHUB_USER_TOKEN) in .env",
    "PERMISSION_DENIED": "these credentials may not do this; ask the server's owner for the right to",
    "ENDPOINT_NOT_FOUND": "the server does not know this request; is the address that of an MLflow server, "
    "and is it MLflow 2.4 or later?",
}
SILENCE = "the server does not answer; start it, correct MLFLOW_TRACKING_URI, or unset it to log to a local file"
NO_DATABASE = "is the database up, and MLFLOW_TRACKING_URI its address?"
UNSUPPORTED = (
    "mlflow cannot use this kind of address in this environment; mlflow-skinny, which serving has, takes only "
    "http(s) servers: install mlflow, or set MLFLOW_TRACKING_URI to a server's address"
)


def import_mlflow() -> Any:
    """Import mlflow with its telemetry and chatter off, unless the environment asks for them."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    import mlflow

    for name, level in LEAST_LEVELS.items():
        logging.getLogger(name).setLevel(level)
    return mlflow


@contextmanager
def tracking_errors(uri: str, doing: str) -> Iterator[None]:
    """Turn what mlflow raises into one line: where, what was being done, why not, what to do."""
    mlflow_exception = import_mlflow().exceptions.MlflowException
    try:
        yield
    except (mlflow_exception, OSError, ImportError, *_database_errors()) as error:
        raise TrackingError(f"{masked(uri)}: cannot {doing}: {_reason(error)}") from error


def error_code(error: BaseException) -> str:
    """MLflow's name for a kind of failure, such as RESOURCE_DOES_NOT_EXIST; empty if it has none."""
    return str(getattr(error, "error_code", ""))


def masked(text: str) -> str:
    """Hide user and password of every address in a text; a password may have `/` and `@`, though both should be quoted.

    Where a colon comes before a slash, all up to the last `@` may be a password.
    """
    return re.sub(r"(?<!/)//(?!/)([^/:\s]*:\S+|[^/\s]+)@", "//***@", text)


def _database_errors() -> tuple[type[Exception], ...]:
    """What is raised where the address is a database's; nothing where SQLAlchemy is not installed, as for serving."""
    try:
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError:
        return ()
    return (SQLAlchemyError,)


def _reason(error: Exception) -> str:
    if _is_silence(error):
        return SILENCE
    if "unsupported URI" in str(error):
        return UNSUPPORTED
    if isinstance(error, _database_errors()):
        why = " ".join(str(getattr(error, "orig", None) or error).split())
        return f"{masked(why)[:REASON_LENGTH]}; {NO_DATABASE}"
    said = ADVICE.get(error_code(error)) or " ".join(str(error).split())
    return masked(said)[:REASON_LENGTH]


def _is_silence(error: Exception) -> bool:
    """Whether a request got no answer at all; mlflow wraps what requests raised."""
    from requests.exceptions import ConnectionError as NoConnection
    from requests.exceptions import SSLError, Timeout

    causes = (error, error.__cause__, error.__context__)
    return any(isinstance(cause, NoConnection | Timeout) and not isinstance(cause, SSLError) for cause in causes)
