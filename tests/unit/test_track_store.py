"""Which store is used, what is refused, and what a project run leaves in the environment."""

import os
import sqlite3
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from project import command_line
from vaeforge.errors import TrackingError
from vaeforge.track.store import absolute_uri, default_uri, open_store, project_run, project_run_id, redact

# MLflow's own use of SQLAlchemy, said once while it is imported
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


def test_the_default_is_a_database_in_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert default_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", " ")
    assert default_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert default_uri(tmp_path) == "http://127.0.0.1:5000"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("sqlite:///runs/m.db", "sqlite:////p/runs/m.db"),
        ("sqlite:////abs/m.db", "sqlite:////abs/m.db"),
        ("file:mlruns", "file:///p/mlruns"),
        ("file:///abs/mlruns", "file:///abs/mlruns"),
        ("mlruns", "file:///p/mlruns"),
        ("https://host/x", "https://host/x"),
        ("postgresql://u:p@host/db", "postgresql://u:p@host/db"),
    ],
)
def test_relative_paths_become_absolute(given: str, expected: str) -> None:
    assert absolute_uri(given, Path("/p")) == expected


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///:memory:", "sqlite:///m.db?mode=ro", "sqlite:m.db"])
def test_databases_that_processes_cannot_share_are_refused(uri: str, tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"must be sqlite:/// and the path of a file"):
        absolute_uri(uri, tmp_path)


def test_folders_of_files_are_refused() -> None:
    with pytest.raises(TrackingError, match="no longer writes to folders of files"):
        open_store("file:///tmp/mlruns")


def test_a_server_that_does_not_answer_is_named_without_its_password() -> None:
    with pytest.raises(TrackingError, match="did not answer within 10 s") as caught:
        open_store("http://me:secret@127.0.0.1:9/x")
    assert "secret" not in str(caught.value)
    assert "--offline" in str(caught.value)


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.write_text("not a database, but precious")
    with pytest.raises(TrackingError, match=r"mlflow\.db: cannot be opened \(file is not a database\)"):
        open_store(f"sqlite:///{path}")
    assert path.read_text() == "not a database, but precious"


@pytest.mark.slow
def test_readers_make_no_database(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'gone.db'}"
    with pytest.raises(TrackingError, match=r"gone\.db: is not there; bring it back, set MLFLOW_TRACKING_URI"):
        open_store(uri, existing=True)
    (tmp_path / "x.png").touch()
    for call in (
        ("models", "list"),
        ("trace", "models:/vaeforge-lipid/1"),
        ("score", "models:/vaeforge-lipid/1", "x.png"),
    ):
        done = command_line(tmp_path, *call, MLFLOW_TRACKING_URI=uri)
        assert done.code == 2 and "is not there; bring it back" in done.stderr, (call, done)
    assert not list(tmp_path.rglob("*.db*"))


@pytest.mark.long
def test_a_database_of_another_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    open_store(f"sqlite:///{path}")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    connection.close()
    script = f"from vaeforge.track.store import open_store; open_store('sqlite:///{path}')"
    refused = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment())
    assert "TrackingError" in refused.stderr
    assert "mlflow db upgrade" in refused.stderr


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def test_importing_the_store_does_not_import_mlflow() -> None:
    script = "import sys, vaeforge.track.replay, vaeforge.track.tracking_process; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], env=environment()).returncode == 0


def test_a_project_run_is_taken_out_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", "abc")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "7")
    assert project_run() == ("abc", "7")
    assert not {"MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"} & os.environ.keys()
    assert project_run_id() is None


class Healthy(BaseHTTPRequestHandler):
    """A tracking server that is up."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_proxy_in_front_of_a_server_of_this_machine_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://me:secret@127.0.0.1:9")
    with ThreadingHTTPServer(("127.0.0.1", 0), Healthy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(
            TrackingError, match=r"through the proxy http://\*\*\*@127\.0\.0\.1:9: .*no_proxy"
        ) as caught:
            open_store(address)
        assert "secret" not in str(caught.value)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        open_store(address)
        server.shutdown()


def test_redact_hides_every_password() -> None:
    text = "http://a:b@h/x and postgresql://u:p@h/d, mail x@y"
    assert redact(text) == "http://***@h/x and postgresql://***@h/d, mail x@y"
