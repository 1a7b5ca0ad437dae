"""Who one is to a tracking server: passwords, DagsHub's tokens, and that messages show neither."""

import http.server
import os
import subprocess
import sys
import threading
from functools import partial

import pytest

from cnnClassifier.config.types import TrackingConfig
from cnnClassifier.errors import TrackingError
from cnnClassifier.tracking.client import masked
from cnnClassifier.tracking.connection import Connection, connect
from mlflow_servers import PASSWORD, USER, front_door

OWN = "my own"


def test_credentials_in_an_address_are_masked():
    assert masked("POST https://me:secret@host/x failed") == "POST https://***@host/x failed"
    assert masked("postgresql://me:se/c+ret@host/db: no") == "postgresql://***@host/db: no"
    assert masked("postgresql://u:p@ss@host/db") == "postgresql://***@host/db"
    assert masked("http://user:p@ss/w@127.0.0.1:1 is down") == "http://***@127.0.0.1:1 is down"
    assert masked("http://me@example.org:se/cret@host/x") == "http://***@host/x"
    assert masked("https://to@ken@host/a@b https://u:pw@host/x") == "https://***@host/a@b https://***@host/x"
    for told in (
        "models:/chest_ct@champion",
        "http://host/a@b",
        "https://host/path: no; ask me@example.org",
        "sqlite:////home/jane@example.org/mlflow.db",
        "file:///home/jane@example.org/mlruns",
        "s3://bucket/a@b/c",
    ):
        assert masked(told) == told
    assert Connection("https://me:secret@host").title == "https://***@host"


@pytest.mark.server
def test_a_wrong_password_is_told_in_one_line_with_what_to_set(servers, tracking, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", servers["auth"].wait())
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", USER)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
    with pytest.raises(TrackingError, match="credentials are missing or wrong; set MLFLOW_TRACKING_USERNAME"):
        connect(tracking).check()
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    connect(tracking).check()


# --- DagsHub ------------------------------------------------------------------------------


def test_a_repositorys_page_is_not_its_mlflow_server(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://dagshub.com/me/chest.git")
    with pytest.raises(TrackingError, match=r"set MLFLOW_TRACKING_URI=https://dagshub\.com/me/chest\.mlflow"):
        connect(TrackingConfig(uri="unused"))


@pytest.mark.parametrize("variable", ["DAGSHUB_USER_TOKEN", "DAGSHUB_TOKEN"])
def test_a_dagshub_token_is_user_and_password(tracking, monkeypatch, variable):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://dagshub.com/me/chest.mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "")
    monkeypatch.setenv(variable, "token")
    connect(tracking)
    assert os.environ["MLFLOW_TRACKING_USERNAME"] == os.environ["MLFLOW_TRACKING_PASSWORD"] == "token"


def test_a_dagshub_token_goes_to_no_other_server(tracking, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://dagshub.com.evil.example/me/chest.mlflow")
    monkeypatch.setenv("DAGSHUB_USER_TOKEN", "token")
    connect(tracking)
    assert "MLFLOW_TRACKING_PASSWORD" not in os.environ


def test_own_mlflow_credentials_win_over_a_dagshub_token(tracking, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://dagshub.com/me/chest.mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", OWN)
    monkeypatch.setenv("DAGSHUB_USER_TOKEN", "token")
    connect(tracking)
    assert os.environ["MLFLOW_TRACKING_USERNAME"] == "me"
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == OWN


@pytest.mark.server
def test_a_dagshub_of_ones_own_takes_the_token_below_a_repositorys_path(servers, tracking, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", USER)  # the admin: a fresh server has no other user
    monkeypatch.setenv("DAGSHUB_USER_TOKEN", PASSWORD)
    servers["auth"].wait()
    with front_door(servers["auth"].port, prefix="/me/chest.mlflow") as address:
        monkeypatch.setenv("DAGSHUB_CLIENT_HOST", address.removesuffix("/me/chest.mlflow"))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        connect(tracking).check()


def test_the_token_of_dagshub_login_is_used_and_no_browser_opened(tmp_path):
    """In a process of its own: dagshub reads its settings when it is imported."""
    stored = tmp_path / "tokens"
    api = partial(_DagsHubApi, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), api) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host = f"http://127.0.0.1:{server.server_port}"
        stored.write_text(f"version: '1'\n{host}:\n- access_token: kept\n  expiry: never\n  token_type: app-token\n")
        before = stored.read_text()
        assert _credentials_in_new_process(host, stored) == "kept kept"
        assert stored.read_text() == before
        assert _credentials_in_new_process(host, tmp_path / "none") == "None None"
        server.shutdown()


class _DagsHubApi(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        known = self.path == "/api/v1/user" and self.headers["Authorization"] == "Bearer kept"
        self.send_response(200 if known else 401)
        self.end_headers()
        self.wfile.write(b'{"login": "me", "username": "me"}' if known else b"{}")


def _credentials_in_new_process(host, stored):
    code = (
        "import os; from cnnClassifier.config.types import TrackingConfig;"
        "from cnnClassifier.tracking.connection import connect; connect(TrackingConfig(uri='unused'));"
        "print(*[os.environ.get('MLFLOW_TRACKING_' + name) for name in ('USERNAME', 'PASSWORD')])"
    )
    environ = {
        "DAGSHUB_CLIENT_HOST": host,
        "DAGSHUB_CLIENT_TOKENS_CACHE": str(stored),
        "MLFLOW_TRACKING_URI": f"{host}/me/chest.mlflow",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environ}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
