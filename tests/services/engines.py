"""PostgreSQL from Debian and moto's S3 on loopback, in folders that vanish with them."""

import itertools
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
import psycopg
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from environment import clean_environment
from imports import ROOT
from mlflow_servers import MlflowServer, free_port

USER, PASSWORD = "team", "a-long/test:password"
KEYS = {"AWS_ACCESS_KEY_ID": "stand-in", "AWS_SECRET_ACCESS_KEY": "stand-in", "AWS_DEFAULT_REGION": "us-east-1"}
NUMBERS = itertools.count()
REPOSITORY = re.compile(r"^/[\w-]+/[\w-]+\.s3(?=/)")
CREDENTIAL = re.compile(r"Credential=([^/]+)/")


@dataclass(frozen=True)
class Postgres:
    """A running PostgreSQL; `database` makes a new one for each test."""

    port: int

    def database(self) -> str:
        """The address of a new, empty database."""
        name = f"team{next(NUMBERS)}"
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.address(name)

    def address(self, name: str) -> str:
        """A database's address as it stands in .env."""
        return f"postgresql://{USER}:a-long%2Ftest%3Apassword@127.0.0.1:{self.port}/{name}"


@dataclass(frozen=True)
class S3:
    """A running S3 stand-in; `bucket` makes a new one for each test, `users` are the keys it was asked with."""

    endpoint: str
    users: set[str]

    def bucket(self) -> str:
        """The name of a new, empty bucket."""
        name = f"bucket{next(NUMBERS)}"
        self.client.create_bucket(Bucket=name)
        return name

    @property
    def client(self):
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )

    def names(self, bucket: str) -> list[str]:
        """What a bucket holds."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [each["Key"] for page in pages for each in page.get("Contents", [])]

    @property
    def environment(self) -> dict[str, str]:
        """What MLflow and DVC need to come here instead of Amazon."""
        return {**KEYS, "MLFLOW_S3_ENDPOINT_URL": self.endpoint, "AWS_ENDPOINT_URL": self.endpoint}


@dataclass
class TeamServer(MlflowServer):
    """`make tracking-server`, as it is typed, in a folder with a Makefile and an .env."""

    def start(self) -> "TeamServer":
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "Makefile").write_bytes((ROOT / "Makefile").read_bytes())
        settings = {**self.environ, "TRACKING_PORT": str(self.port)}
        (self.folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        # The environment of the tests in place of one that make would set up.
        command = ["make", "--old-file=.venv/.team", f"BIN={Path(sys.executable).parent}", "tracking-server"]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *self.options],
                cwd=self.folder, env=clean_environment(), stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        return self


def team_server(folder: Path, database: str, destination: str, s3: S3) -> TeamServer:
    """A server whose .env names a database and a bucket."""
    settings = {"MLFLOW_BACKEND_STORE_URI": database, "MLFLOW_ARTIFACTS_DESTINATION": destination, **s3.environment}
    return TeamServer(Path("make"), folder, ["OPTIONS=--workers 1"], settings)


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Debian's PostgreSQL with a password; it refuses to run as root, so root runs it as nobody."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
    if programs is None:
        raise FileNotFoundError("PostgreSQL is missing: `make test-services` installs Debian's")
    as_user = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="team-postgres-"))  # not pytest's: nobody may not enter that
    server = Postgres(free_port())
    try:
        (folder / "password").write_text(PASSWORD)
        if as_user:
            for path in (folder, folder / "password"):
                shutil.chown(path, "nobody", "nogroup")
        where = {"cwd": folder, "check": True, "capture_output": True, **as_user}
        options = ["--username", USER, "--pwfile", "password", "--auth", "scram-sha-256", "--no-sync"]
        subprocess.run([programs / "initdb", "--pgdata", "data", *options], **where)
        settings = f"-h 127.0.0.1 -p {server.port} -k {folder} -c fsync=off"
        # Not captured: the server inherits the pipe, and reading it would wait for the server's end.
        quiet = {**where, "capture_output": False, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run([programs / "pg_ctl", "-D", "data", "-l", "log", "-w", "-o", settings, "start"], **quiet)
        try:
            yield server
        finally:
            subprocess.run([programs / "pg_ctl", "-D", "data", "-m", "immediate", "stop"], **quiet)
    finally:
        shutil.rmtree(folder)


@contextmanager
def s3() -> Iterator[S3]:
    """moto's S3, in this process; also below `/<owner>/<repository>.s3`, where DagsHub has a repository's own."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line for each request
    users: set[str] = set()
    inner = DomainDispatcherApplication(create_backend_app)

    def door(environ, start_response):
        environ["PATH_INFO"] = REPOSITORY.sub("", environ["PATH_INFO"])
        for name in ("RAW_URI", "REQUEST_URI"):
            environ[name] = REPOSITORY.sub("", environ.get(name, ""))
        users.update(CREDENTIAL.findall(environ.get("HTTP_AUTHORIZATION", "")))
        return inner(environ, start_response)

    server = make_server("127.0.0.1", 0, door, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield S3(f"http://127.0.0.1:{server.server_port}", users)
    finally:
        server.shutdown()
