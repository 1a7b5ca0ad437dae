"""`python main.py dagshub`: a DagsHub repository as this project's store (DVC) and tracking server (MLflow).

What may be committed goes to .dvc/config, the token only to files that git does not see.
"""

import os
import re
import subprocess
from pathlib import Path

from dotenv import set_key

from cnnClassifier.errors import ConfigError
from cnnClassifier.tracking.credentials import OWN_HOST, TOKENS, token_at

REMOTE, BUCKET = "dagshub", "s3://dvc"  # each repository's own bucket of that name
HOST = "https://dagshub.com"
ENVIRONMENT, LOCAL = Path(".env"), Path(".dvc/config.local")
PART = re.compile(r"[A-Za-z0-9][\w.-]*")


def set_up(owner: str, repository: str) -> str:
    """Write the DVC remote and MLFLOW_TRACKING_URI of a repository; a line that says what to do next.

    ConfigError for a misspelt name, without a token, or if git would see where the token goes.
    """
    for name in (owner, repository):
        if not PART.fullmatch(name):
            raise ConfigError(f"{name!r} is no name at DagsHub; dagshub.com/jane/chest-ct has jane and chest-ct")
    host = (os.environ.get(OWN_HOST) or HOST).rstrip("/")
    token = token_at(host)
    if not token:
        raise ConfigError(
            f"no token for {host}: make one there (user settings, Tokens) and put {TOKENS[0]}=<token> into .env, "
            "or run `dagshub login`"
        )
    environment = Path(os.path.realpath(ENVIRONMENT))  # written anew under its name: a link would become a file
    _check_unseen(environment, LOCAL)
    _write_remote(f"{host}/{owner}/{repository}.s3", token)
    _write_environment(environment, f"{host}/{owner}/{repository}.mlflow")
    return (
        f"`dvc push` and `dvc pull` go to {host}/{owner}/{repository}.s3, runs to {host}/{owner}/{repository}.mlflow; "
        "commit .dvc/config, which holds no token"
    )


def _check_unseen(*files: Path) -> None:
    """ConfigError for a file that git tracks or would add; without git there is nobody to see it."""
    for file in files:
        # Asked where it lies, which may be in another repository.
        asked = ["git", "-C", str(file.parent), "check-ignore", "--quiet", "--", file.name]
        ignored = subprocess.run(asked, capture_output=True, check=False)
        if ignored.returncode == 1:
            raise ConfigError(f"{file}: git would see the token in it; add it to .gitignore first")


def _write_remote(endpoint: str, token: str) -> None:
    """By DVC's own functions, not its command line: other users see what is typed."""
    from dvc.repo import Repo

    config = Repo().config
    with config.edit("repo") as shared:
        shared.setdefault("remote", {})[REMOTE] = {"url": BUCKET, "endpointurl": endpoint}
        shared["core"] = {**shared.get("core", {}), "remote": REMOTE}
    with config.edit("local") as own:
        own.setdefault("remote", {})[REMOTE] = {"access_key_id": token, "secret_access_key": token}
        own.get("core", {}).pop("remote", None)  # this machine's own default would win over the shared one
    LOCAL.chmod(0o600)


def _write_environment(environment: Path, server: str) -> None:
    """A token that only this shell knows goes to .env too, for the shells to come."""
    set_key(environment, "MLFLOW_TRACKING_URI", server, quote_mode="never")
    if name := next((name for name in TOKENS if os.environ.get(name)), None):
        set_key(environment, name, os.environ[name], quote_mode="never")
    environment.chmod(0o600)
