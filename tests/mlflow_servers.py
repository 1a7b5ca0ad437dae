"""Real MLflow servers on loopback, and a front door that lacks or moves what some hosts lack or move."""

import http.client
import itertools
import os
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from werkzeug.security import generate_password_hash

SCRIPTS = Path(sys.executable).parent
OLD_MLFLOW = Path(__file__).parents[1] / ".venv-mlflow2" / "bin" / "mlflow"
USER, PASSWORD = "admin", "a long test password"
CHEAP = "pbkdf2:sha256:1"
START_SECONDS = 120
# Linux gives away ports from 32768 up. Each of pytest-xdist's processes counts up in a range of its own, not always
# from the same port, so that two test runs at a time are not likely to meet either.
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
PORTS = itertools.count(12_000 + 2_000 * (WORKER % 10) + secrets.randbelow(1_800))


@dataclass
class MlflowServer:
    """A server process that can be killed and started again on the same port and database."""

    command: Path
    folder: Path
    options: list[str] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=dict)
    users: Path | None = None
    port: int = field(default_factory=lambda: free_port())
    host: str = "127.0.0.1"
    process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> "MlflowServer":
        """Start without waiting: servers need many seconds, and others can use them."""
        self.folder.mkdir(parents=True, exist_ok=True)
        where = ["--host", self.host, "--port", str(self.port), "--workers", "1"]
        store = ["--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db"]
        artifacts = ["--artifacts-destination", str(self.folder / "artifacts")]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(self.command), "server", *self.options, *where, *store, *artifacts],
                cwd=self.folder,
                env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", **self.environ},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def wait(self) -> str:
        """Return the address once the server answers; its log is in the error if it does not."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process and self.process.poll() is None:
            if answers(self.port):
                self._hash_passwords_cheaply()
                return self.uri
            time.sleep(0.2)
        raise RuntimeError(f"no MLflow server: {(self.folder / 'server.log').read_text()[-2000:]}")

    def _hash_passwords_cheaply(self) -> None:
        """The server checks the password at each request; as it hashes them that is nearly half a second each time."""
        if self.users:
            with closing(sqlite3.connect(self.users)) as database, database:
                database.execute("UPDATE users SET password_hash = ?", [generate_password_hash(PASSWORD, CHEAP)])

    def kill(self) -> None:
        """Kill the server and its workers, and nothing else."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def auth_server(folder: Path) -> MlflowServer:
    """Today's MLflow with basic auth, as a team would run it."""
    folder.mkdir(parents=True)
    settings, users = folder / "auth.ini", folder / "users.db"
    settings.write_text(
        "[mlflow]\n"
        "default_permission = READ\n"
        f"database_uri = sqlite:///{users}\n"
        f"admin_username = {USER}\n"
        f"admin_password = {PASSWORD}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    environ = {
        "MLFLOW_AUTH_CONFIG_PATH": str(settings),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "for tests only",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    return MlflowServer(SCRIPTS / "mlflow", folder, ["--app-name", "basic-auth"], environ, users)


def old_server(folder: Path) -> MlflowServer:
    """MLflow 2.9.2 in its own environment, as DagsHub and Azure still run them: no logged models."""
    if not OLD_MLFLOW.exists():
        raise FileNotFoundError(f"{OLD_MLFLOW} is missing: run `make .venv-mlflow2/.done` (make test does)")
    return MlflowServer(OLD_MLFLOW, folder)


def free_port() -> int:
    """A port that no other process of this test run asks for, nor the system gives away before a server has it."""
    return next(port for port in PORTS if _is_free(port))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


@contextmanager
def front_door(port: int, prefix: str = "", refuse: str = "no such path") -> Iterator[str]:
    """A host that passes requests below `prefix` on to the server at `port`, and answers 404 to `refuse`."""

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if not self.path.startswith(prefix) or refuse in self.path:
                return self._answer(404, b"")
            behind = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            behind.request(self.command, self.path.removeprefix(prefix), body, dict(self.headers))
            response = behind.getresponse()
            return self._answer(response.status, response.read(), response.getheader("Content-Type"))

        do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

        def _answer(self, status: int, body: bytes, kind: str | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind or "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}{prefix}"
        server.shutdown()
